/** Which agents are trained, and which resource each agent's calls train. */
export type Recipe = {
  /** A project of its own, so that its settings and rows are nobody else's. */
  readonly project: string;
  /** Goes into `PUT /api/v1/settings` as it is. */
  readonly selection: {
    readonly agents: readonly { readonly match: string; readonly policy: string }[];
  };
};

const writer = { match: "^writer$", policy: "writer" };
const critic = { match: "^critic$", policy: "critic" };

/** The program is the same under both; only what is asked of the project differs. */
export const recipes = {
  /** Trains the writer alone: the critic is part of its world. */
  writer: { project: "two-agents-writer", selection: { agents: [writer] } },
  /** Trains both from the same rollouts, each for a policy of its own. */
  both: { project: "two-agents-both", selection: { agents: [writer, critic] } },
} as const satisfies Record<string, Recipe>;

export type RecipeName = keyof typeof recipes;
export const recipeNames = Object.keys(recipes) as RecipeName[];

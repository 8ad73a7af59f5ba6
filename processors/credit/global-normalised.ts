import { indexesByPart, meanOf, relativeToMean, spreadParameters } from "./baseline.ts";
import { metadataField } from "./metadata.ts";
import { byMember, type Member, type Options, type Strategy, toAllSteps } from "./strategy.ts";

/**
 * REINFORCE++: Â = (A − mean_batch) / (std_batch + ε) with A = R, and with `baseline` = prompt its
 * baseline form, A = R − mean over the rollouts of the same prompt (0 for a prompt with one rollout,
 * as in verl) (Hu, "REINFORCE++", arXiv:2501.03262; its KL term needs a reference model and is the
 * trainer's). Advantages over the batch sum to 0.
 *
 * The batch is the group. A window over whatever closed last would make a row depend on the order
 * in which other groups happened to close; a group is the same however its records came. So one
 * enqueues a batch as one group of many prompts, each rollout naming its prompt in the metadata
 * field `prompt_key` says; without that field rollouts are of one prompt when their first calls saw
 * the same messages. With one prompt and no baseline this is `group-relative`. `level` = step
 * takes mean and deviation over rows, as trainers that whiten rows do.
 */
export const globalNormalised: Strategy = {
  name: "global-normalised",
  doc: "REINFORCE++: rewards over the deviation of the whole batch; with a baseline per prompt",
  parameters: spreadParameters,
  options: {
    baseline: {
      default: "none",
      allowed: ["none", "prompt"],
      doc: "prompt: the mean over the same prompt is subtracted first; none: it is not.",
    },
    level: {
      default: "rollout",
      allowed: ["rollout", "step"],
      doc: "What mean and deviation of the batch count: rollouts, or their steps.",
    },
    prompt_key: {
      default: "prompt_id",
      allowed: null,
      doc: "Field of the rollout's metadata that names its prompt.",
    },
  },
  needsGroup: () => true,
  assign: (members, parameters, options) => {
    const values = centredOf(members, options);
    if (options.level !== "step") {
      const relative = relativeToMean(values, parameters);
      return members.map((member, i) => toAllSteps(member, member.reward, relative[i] ?? 0));
    }
    const rows = members.flatMap(({ steps }, i) => steps.map(() => values[i] ?? 0));
    const advantages = byMember(members, relativeToMean(rows, parameters));
    return members.map((member, i) => ({
      returns: member.steps.map(() => member.reward),
      advantages: advantages[i] ?? [],
    }));
  },
};

/** The reward of each member, less the mean of its prompt where that is asked for. */
function centredOf(members: readonly Member[], options: Options): number[] {
  const values = members.map(({ reward }) => reward);
  if (options.baseline !== "prompt") return values;
  const prompts = members.map((member) => promptOf(member, options.prompt_key ?? "prompt_id"));
  for (const indexes of indexesByPart(prompts).values()) {
    if (indexes.length === 1) continue;
    const mean = meanOf(indexes.map((i) => members[i]?.reward ?? 0));
    for (const i of indexes) values[i] = (members[i]?.reward ?? 0) - mean;
  }
  return values;
}

function promptOf(member: Member, key: string): string {
  const named = metadataField(member, key);
  if (named !== undefined) return `named ${JSON.stringify(named)}`;
  const first = member.steps[0];
  return first === undefined ? `rollout ${member.rollout_id}` : `messages ${first.messages}`;
}

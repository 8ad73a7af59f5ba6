import { LightningError } from "../../schemas/errors.ts";
import type { Credit } from "../../schemas/types.ts";
import { jsonField } from "./json.ts";

/**
 * What a project or a task may choose of assembling and credit. Who acts on it knows what it means,
 * so it also says what is allowed: both throw a LightningError whose `field` names the mistake.
 */
export type Choices = {
  checkCredit(credit: Credit): void;
  /** @param selection JSON text. */
  checkSelection(selection: string): void;
};

/** A credit strategy as clients name it. */
export type CreditBody = {
  strategy: string;
  parameters?: Record<string, number>;
  options?: Record<string, string>;
};

/**
 * The credit strategy a client asked for; `otherwise` when it asked for none.
 *
 * @param path stands before the field in errors, e.g. `[3].`
 * @throws LightningError `request-invalid` naming the field, what was read and what is allowed.
 */
export function chosenCredit(
  choices: Choices,
  body: CreditBody | undefined,
  otherwise: Credit,
  path = "",
): Credit {
  if (body === undefined) return otherwise;
  const { strategy, parameters = {}, options = {} } = body;
  const credit = { strategy, parameters, options };
  refusing(path, "credit", () => choices.checkCredit(credit));
  return credit;
}

/**
 * The selection a client asked for, as JSON text; `otherwise` when it asked for none. Throws as
 * {@link chosenCredit}.
 */
export function chosenSelection(
  choices: Choices,
  body: Readonly<Record<string, unknown>> | undefined,
  otherwise: string,
  path = "",
): string {
  if (body === undefined) return otherwise;
  const selection = jsonField(body, `${path}selection`);
  if (selection.length > longestSelection) {
    const message = `${path}selection: read ${selection.length} characters, allowed are ${longestSelection}`;
    throw new LightningError("request-invalid", message, { field: `${path}selection` });
  }
  refusing(path, "selection", () => choices.checkSelection(selection));
  return selection;
}

/** Every rollout carries its selection through the log, characters. */
const longestSelection = 16_384;

/** What a record could never succeed with is here a question to be changed. */
function refusing(path: string, whole: string, check: () => void): void {
  try {
    check();
  } catch (cause) {
    if (!(cause instanceof LightningError)) throw cause;
    const { field } = cause.fields;
    throw new LightningError("request-invalid", `${path}${cause.message}`, {
      cause,
      field: `${path}${typeof field === "string" ? field : whole}`,
    });
  }
}

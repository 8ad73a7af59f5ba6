import { type Command, print } from "./command.ts";
import { deadLettersCommand } from "./dead-letters.ts";
import { doctorCommand } from "./doctor.ts";
import { exportCommand } from "./export.ts";
import { lagCommand } from "./lag.ts";
import { rowsCommand } from "./rows.ts";
import { sqlCommand } from "./sql.ts";
import { topicsCommand } from "./topics.ts";
import { tripletsCommand } from "./triplets.ts";
import { upCommand } from "./up.ts";
import { whyCommand } from "./why.ts";
import { workerCommand } from "./worker.ts";

/** Commands by name; `lightning <name> --help` prints a command's usage. */
export const commands: Readonly<Record<string, Command>> = {
  up: withHelp(upCommand),
  worker: withHelp(workerCommand),
  sql: withHelp(sqlCommand),
  topics: withHelp(topicsCommand),
  triplets: withHelp(tripletsCommand),
  rows: withHelp(rowsCommand),
  export: withHelp(exportCommand),
  why: withHelp(whyCommand),
  lag: withHelp(lagCommand),
  "dead-letters": withHelp(deadLettersCommand),
  doctor: withHelp(doctorCommand),
};

function withHelp(command: Command): Command {
  return {
    ...command,
    async run(args) {
      const options = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
      if (!options.includes("--help") && !options.includes("-h")) return command.run(args);
      print(`${command.doc}\n\n${command.usage}`);
    },
  };
}

/** What is wrong with the sources, in words for the one who wrote them. */
import { EXIT_FAILED, UserError } from "../hal/host/errors";

/** The sources cannot be built. The message has one problem per line. */
export class BuildError extends UserError {
  constructor(readonly problems: readonly string[]) {
    super("BUILD", EXIT_FAILED, problems.join("\n"));
    this.name = "BuildError";
  }
}

/** What is wrong with an image, in words for the user who named the file. */
import { EXIT_IMAGE, UserError } from "../errors";

/** An image cannot be used: missing, truncated, corrupt, or of another format version. */
export class ImageError extends UserError {
  /**
   * @param image the file's name, or what the caller calls the bytes
   * @param problem one clause that says what was expected and what was found
   * @param advice what to do about it
   */
  constructor(readonly image: string, readonly problem: string, advice = "build it again with `xenolith build`") {
    super("IMAGE", EXIT_IMAGE, `${image}: ${problem}; ${advice}`);
    this.name = "ImageError";
  }
}

/**
 * The marks that a shell puts into its output (FinalTerm's OSC 133): `ESC ] 133 ; A BEL` where a prompt begins, `C` where a command does. They say
 * whether somebody waits for the machine, and are taken out.
 */
const MARK = /\u001b\]133;([A-D])[^\u0007]*\u0007/g;
/** The beginning of a mark at the end of a text. */
const BEGUN = /\u001b(?:\](?:1(?:3(?:3(?:;[^\u0007]*)?)?)?)?)?$/;

export class MarkFilter {
  /** Whether the shell has shown its prompt, and no command runs. */
  atPrompt = false;
  private kept = "";

  /** The text without marks; a mark that has only begun is kept for the next call. */
  take(text: string): string {
    const all = this.kept + text;
    const begun = BEGUN.exec(all)?.index ?? all.length;
    this.kept = all.slice(begun);
    return all.slice(0, begun).replace(MARK, (_mark, kind: string) => {
      this.atPrompt = kind === "A";
      return "";
    });
  }
}

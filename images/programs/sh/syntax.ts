/** What a command line means: the tree that `parse.ts` makes and `run.ts` carries out. */

/** A piece of a word. Quoted pieces are neither split nor matched with file names. */
export type part =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "variable"; readonly name: string; readonly quoted: boolean }
  | { readonly kind: "command"; readonly body: list; readonly quoted: boolean };

export type word = readonly part[];

export interface assignment {
  readonly name: string;
  readonly value: word;
}

export interface redirection {
  /** 0, 1 or 2. */
  readonly fd: number;
  /** `<<` has the text itself as its target. */
  readonly op: "<" | ">" | ">>" | "<<" | "<&" | ">&";
  readonly target: word;
}

export type command =
  | { readonly kind: "simple"; readonly assignments: assignment[]; readonly words: word[]; redirections: redirection[] }
  | { readonly kind: "group"; readonly body: list; readonly subshell: boolean; redirections: redirection[] }
  | { readonly kind: "if"; readonly arms: { test: list; body: list }[]; otherwise: list; redirections: redirection[] }
  | { readonly kind: "loop"; readonly until: boolean; test: list; body: list; redirections: redirection[] }
  | { readonly kind: "for"; readonly name: string; words: word[]; body: list; redirections: redirection[] };

export interface pipeline {
  readonly commands: command[];
  readonly negated: boolean;
  readonly timed: boolean;
}

/** Pipelines joined by `&&` and `||`; the first one's operator means nothing. */
export interface and_or {
  readonly links: { readonly op: "&&" | "||"; readonly pipeline: pipeline }[];
  background: boolean;
  /** As it was written, for lists of jobs. */
  text: string;
}

export type list = and_or[];

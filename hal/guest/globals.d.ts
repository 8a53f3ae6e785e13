/** True in the debug flavour, false in release; a literal after the build. */
declare const __DEBUG__: boolean;

declare module "virtual:initcalls";

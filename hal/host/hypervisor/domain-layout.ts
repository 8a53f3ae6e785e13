/** Where the domain builder puts things in a domain's own RAM, as page numbers. The rest is the kernel's. */
export const START_INFO_PFN = 0;
export const SHARED_INFO_PFN = 1;
export const STORE_PFN = 2;
export const CONSOLE_PFN = 3;
export const GRANT_TABLE_PFN = 4;
/** Frames of the grant table, at most. */
export const GRANT_FRAMES_MAX = 32;
/** First page that the kernel may use as it likes. */
export const FREE_PFN = GRANT_TABLE_PFN + GRANT_FRAMES_MAX;
/** Pages of RAM that a domain must have. */
export const DOMAIN_PAGES_MIN = FREE_PFN + 28;

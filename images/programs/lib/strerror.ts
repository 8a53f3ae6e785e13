/** The texts that programs print for errors. */
const TEXTS: Readonly<Record<number, string>> = {
  1: "Operation not permitted",
  2: "No such file or directory",
  5: "Input/output error",
  6: "No such device or address",
  8: "Exec format error",
  9: "Bad file descriptor",
  11: "Resource temporarily unavailable",
  12: "Cannot allocate memory",
  13: "Permission denied",
  16: "Device or resource busy",
  17: "File exists",
  19: "No such device",
  20: "Not a directory",
  21: "Is a directory",
  22: "Invalid argument",
  25: "Inappropriate ioctl for device",
  28: "No space left on device",
  30: "Read-only file system",
  34: "Numerical result out of range",
  40: "Too many levels of symbolic links",
  95: "Operation not supported",
};

/** Text of a negative errno. */
export function strerror(error: number): string {
  return TEXTS[-error] ?? `Unknown error ${-error}`;
}

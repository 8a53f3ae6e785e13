/** The block layer's status codes and the errnos that they stand for. */
import {
  EAGAIN,
  EBADE,
  EBUSY,
  EILSEQ,
  EINVAL,
  EIO,
  ENODATA,
  ENODEV,
  ENOLINK,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  EREMCHG,
  EREMOTEIO,
  ETIME,
  ETIMEDOUT,
  ETOOMANYREFS,
  EOVERFLOW,
} from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import {
  BLK_STS_AGAIN,
  BLK_STS_DEV_RESOURCE,
  BLK_STS_DM_REQUEUE,
  BLK_STS_DURATION_LIMIT,
  BLK_STS_INVAL,
  BLK_STS_IOERR,
  BLK_STS_MEDIUM,
  BLK_STS_NOSPC,
  BLK_STS_NOTSUPP,
  BLK_STS_OFFLINE,
  BLK_STS_OK,
  BLK_STS_PROTECTION,
  BLK_STS_RESOURCE,
  BLK_STS_RESV_CONFLICT,
  BLK_STS_TARGET,
  BLK_STS_TIMEOUT,
  BLK_STS_TRANSPORT,
  BLK_STS_ZONE_ACTIVE_RESOURCE,
  BLK_STS_ZONE_OPEN_RESOURCE,
} from "xenolith/linux/blk_types";
import type { blk_status_t } from "xenolith/linux/blk_types";

interface blk_error {
  readonly status: blk_status_t;
  /** Negative, or 0. */
  readonly errno: number;
  /** As printed in the log. */
  readonly name: string;
}

const blk_errors: readonly blk_error[] = [
  { status: BLK_STS_OK, errno: 0, name: "" },
  { status: BLK_STS_NOTSUPP, errno: -EOPNOTSUPP, name: "operation not supported" },
  { status: BLK_STS_TIMEOUT, errno: -ETIMEDOUT, name: "timeout" },
  { status: BLK_STS_NOSPC, errno: -ENOSPC, name: "critical space allocation" },
  { status: BLK_STS_TRANSPORT, errno: -ENOLINK, name: "recoverable transport" },
  { status: BLK_STS_TARGET, errno: -EREMOTEIO, name: "critical target" },
  { status: BLK_STS_RESV_CONFLICT, errno: -EBADE, name: "reservation conflict" },
  { status: BLK_STS_MEDIUM, errno: -ENODATA, name: "critical medium" },
  { status: BLK_STS_PROTECTION, errno: -EILSEQ, name: "protection" },
  { status: BLK_STS_RESOURCE, errno: -ENOMEM, name: "kernel resource" },
  { status: BLK_STS_DEV_RESOURCE, errno: -EBUSY, name: "device resource" },
  { status: BLK_STS_AGAIN, errno: -EAGAIN, name: "nonblocking retry" },
  { status: BLK_STS_OFFLINE, errno: -ENODEV, name: "device offline" },
  { status: BLK_STS_DM_REQUEUE, errno: -EREMCHG, name: "dm internal retry" },
  { status: BLK_STS_ZONE_OPEN_RESOURCE, errno: -ETOOMANYREFS, name: "open zones exceeded" },
  { status: BLK_STS_ZONE_ACTIVE_RESOURCE, errno: -EOVERFLOW, name: "active zones exceeded" },
  { status: BLK_STS_DURATION_LIMIT, errno: -ETIME, name: "duration limit exceeded" },
  { status: BLK_STS_INVAL, errno: -EINVAL, name: "invalid" },
  { status: BLK_STS_IOERR, errno: -EIO, name: "I/O" },
];

function find(status: blk_status_t): blk_error {
  for (const error of blk_errors) if (error.status === status) return error;
  return blk_errors[blk_errors.length - 1];
}

/** The errno of a status; -EIO for an unknown one. Linux: blk_status_to_errno. */
export function blk_status_to_errno(status: blk_status_t): number {
  return status === BLK_STS_OK ? 0 : find(status).errno;
}
EXPORT_SYMBOL(blk_status_to_errno);

/** The status of an errno, BLK_STS_IOERR for an unknown one. Linux: errno_to_blk_status. */
export function errno_to_blk_status(errno: number): blk_status_t {
  for (const error of blk_errors) if (error.errno === errno) return error.status;
  return BLK_STS_IOERR;
}
EXPORT_SYMBOL(errno_to_blk_status);

/** The status's words in the kernel log. Linux: blk_status_to_str. */
export function blk_status_to_str(status: blk_status_t): string {
  return find(status).name;
}

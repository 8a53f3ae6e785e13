/** xen_version: what the hypervisor says that it is. */
import { EFAULT, ENOSYS } from "../../abi/errno";
import {
  XEN_EXTRAVERSION_LEN,
  XEN_FEATURE_INFO_SIZE,
  XEN_FEATURE_INFO_SUBMAP,
  XEN_FEATURE_INFO_SUBMAP_IDX,
  XENFEAT_dom0,
  XENVER_extraversion,
  XENVER_get_features,
  XENVER_guest_handle,
  XENVER_pagesize,
  XENVER_version,
} from "../../abi/version";
import type { Context } from "./context";
import { guestRangeOk, guestWord } from "./guest-memory";
import { FRAME_SIZE } from "./memory";
import type { DomainState } from "./state";

/** The interface is that of Xen 4.17: major and minor in 16 bits each. */
const VERSION = (4 << 16) | 17;
const EXTRAVERSION = "-xenolith";
const UUID_SIZE = 16;

function putString(context: Context, domain: DomainState, address: number, text: string, size: number): number {
  if (!guestRangeOk(context, domain, address, size)) return -EFAULT;
  const start = domain.ramBase + address;
  context.memory.u8.fill(0, start, start + size);
  for (let i = 0; i < Math.min(text.length, size - 1); i++) context.memory.u8[start + i] = text.charCodeAt(i);
  return 0;
}

function getFeatures(context: Context, domain: DomainState, address: number): number {
  if (!guestRangeOk(context, domain, address, XEN_FEATURE_INFO_SIZE)) return -EFAULT;
  const word = guestWord(domain, address);
  const index = context.memory.u32[word + (XEN_FEATURE_INFO_SUBMAP_IDX >>> 2)];
  const bits = index === 0 && domain.privileged ? 1 << XENFEAT_dom0 : 0;
  context.memory.u32[word + (XEN_FEATURE_INFO_SUBMAP >>> 2)] = bits;
  return 0;
}

/** The domain's handle: zeros but for its id. */
function guestHandle(context: Context, domain: DomainState, address: number): number {
  if (!guestRangeOk(context, domain, address, UUID_SIZE)) return -EFAULT;
  const start = domain.ramBase + address;
  context.memory.u8.fill(0, start, start + UUID_SIZE);
  context.memory.u8[start + UUID_SIZE - 2] = domain.domid >>> 8;
  context.memory.u8[start + UUID_SIZE - 1] = domain.domid;
  return 0;
}

/** __HYPERVISOR_xen_version(cmd, address). */
export function xenVersion(context: Context, domain: DomainState, command: number, address: number): number {
  switch (command) {
    case XENVER_version:
      return VERSION;
    case XENVER_extraversion:
      return putString(context, domain, address, EXTRAVERSION, XEN_EXTRAVERSION_LEN);
    case XENVER_get_features:
      return getFeatures(context, domain, address);
    case XENVER_pagesize:
      return FRAME_SIZE;
    case XENVER_guest_handle:
      return guestHandle(context, domain, address);
    default:
      return -ENOSYS;
  }
}

/** memory_op: the questions that a guest asks about its RAM. Reservations never change on this machine. */
import { EFAULT, ENOSYS, EPERM, ESRCH } from "../../abi/errno";
import {
  XENMEM_current_reservation,
  XENMEM_maximum_gpfn,
  XENMEM_maximum_ram_page,
  XENMEM_maximum_reservation,
} from "../../abi/memory";
import { DOMID_SELF } from "../../abi/xen";
import type { Context } from "./context";
import { guestRangeOk, guestWord } from "./guest-memory";
import type { DomainState } from "./state";

/** Pages of the domain whose id is at `address`, or a negative errno. */
function pagesOf(context: Context, domain: DomainState, address: number): number {
  if (!guestRangeOk(context, domain, address, 2)) return -EFAULT;
  const domid = context.memory.u16[guestWord(domain, address) << 1];
  if (domid === DOMID_SELF || domid === domain.domid) return domain.pageCount;
  const other = context.state.domains[domid];
  if (other === undefined) return -ESRCH;
  return domain.privileged ? other.pageCount : -EPERM;
}

/** __HYPERVISOR_memory_op(cmd, address). */
export function memoryOp(context: Context, domain: DomainState, command: number, address: number): number {
  switch (command) {
    case XENMEM_maximum_ram_page:
      return context.memory.frameCount;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
      return pagesOf(context, domain, address);
    case XENMEM_maximum_gpfn: {
      const pages = pagesOf(context, domain, address);
      return pages < 0 ? pages : pages - 1;
    }
    default:
      return -ENOSYS;
  }
}

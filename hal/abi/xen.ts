/**
 * Hypercall numbers, domain ids, virtual interrupts, and the pages that a domain finds at boot (Xen public/xen.h).
 *
 * start_info is in the domain's page 0, shared_info in page 1. The hypervisor writes start_info once, before the domain's first entry; both
 * write shared_info all the time.
 */
import { struct } from "./layout";

/** A domain's number. */
export type domid_t = number;
/** A machine frame number. */
export type mfn_t = number;

// Hypercalls. arch_6 is a preemption point and arch_7 the host disk's doorbell (`hostdisk.ts`) on this machine.
export const __HYPERVISOR_set_trap_table = 0;
export const __HYPERVISOR_mmu_update = 1;
export const __HYPERVISOR_set_gdt = 2;
export const __HYPERVISOR_stack_switch = 3;
export const __HYPERVISOR_set_callbacks = 4;
export const __HYPERVISOR_fpu_taskswitch = 5;
export const __HYPERVISOR_sched_op_compat = 6;
export const __HYPERVISOR_platform_op = 7;
export const __HYPERVISOR_set_debugreg = 8;
export const __HYPERVISOR_get_debugreg = 9;
export const __HYPERVISOR_update_descriptor = 10;
export const __HYPERVISOR_memory_op = 12;
export const __HYPERVISOR_multicall = 13;
export const __HYPERVISOR_update_va_mapping = 14;
export const __HYPERVISOR_set_timer_op = 15;
export const __HYPERVISOR_event_channel_op_compat = 16;
export const __HYPERVISOR_xen_version = 17;
export const __HYPERVISOR_console_io = 18;
export const __HYPERVISOR_physdev_op_compat = 19;
export const __HYPERVISOR_grant_table_op = 20;
export const __HYPERVISOR_vm_assist = 21;
export const __HYPERVISOR_update_va_mapping_otherdomain = 22;
export const __HYPERVISOR_iret = 23;
export const __HYPERVISOR_vcpu_op = 24;
export const __HYPERVISOR_set_segment_base = 25;
export const __HYPERVISOR_mmuext_op = 26;
export const __HYPERVISOR_xsm_op = 27;
export const __HYPERVISOR_nmi_op = 28;
export const __HYPERVISOR_sched_op = 29;
export const __HYPERVISOR_callback_op = 30;
export const __HYPERVISOR_xenoprof_op = 31;
export const __HYPERVISOR_event_channel_op = 32;
export const __HYPERVISOR_physdev_op = 33;
export const __HYPERVISOR_hvm_op = 34;
export const __HYPERVISOR_sysctl = 35;
export const __HYPERVISOR_domctl = 36;
export const __HYPERVISOR_kexec_op = 37;
export const __HYPERVISOR_argo_op = 39;
export const __HYPERVISOR_xenpmu_op = 40;
export const __HYPERVISOR_dm_op = 41;
export const __HYPERVISOR_hypfs_op = 42;
export const __HYPERVISOR_arch_0 = 48;
export const __HYPERVISOR_arch_1 = 49;
export const __HYPERVISOR_arch_2 = 50;
export const __HYPERVISOR_arch_3 = 51;
export const __HYPERVISOR_arch_4 = 52;
export const __HYPERVISOR_arch_5 = 53;
export const __HYPERVISOR_arch_6 = 54;
export const __HYPERVISOR_arch_7 = 55;

// Virtual interrupts. TIMER, DEBUG, XENOPROF and XENPMU are per vCPU, the others per domain.
export const VIRQ_TIMER = 0;
export const VIRQ_DEBUG = 1;
export const VIRQ_CONSOLE = 2;
export const VIRQ_DOM_EXC = 3;
export const VIRQ_TBUF = 4;
export const VIRQ_DEBUGGER = 6;
export const VIRQ_XENOPROF = 7;
export const VIRQ_CON_RING = 8;
export const VIRQ_PCPU_STATE = 9;
export const VIRQ_MEM_EVENT = 10;
export const VIRQ_ARGO = 11;
export const VIRQ_ENOMEM = 12;
export const VIRQ_XENPMU = 13;
export const VIRQ_ARCH_0 = 16;
export const VIRQ_ARCH_1 = 17;
export const VIRQ_ARCH_2 = 18;
export const VIRQ_ARCH_3 = 19;
export const VIRQ_ARCH_4 = 20;
export const VIRQ_ARCH_5 = 21;
export const VIRQ_ARCH_6 = 22;
export const VIRQ_ARCH_7 = 23;
export const NR_VIRQS = 24;

// Domain ids from DOMID_FIRST_RESERVED up name no domain.
export const DOMID_FIRST_RESERVED = 32752;
export const DOMID_SELF = 32752;
export const DOMID_IO = 32753;
export const DOMID_XEN = 32754;
export const DOMID_COW = 32755;
export const DOMID_INVALID = 32756;
export const DOMID_IDLE = 32767;

// console_io.
export const CONSOLEIO_write = 0;
export const CONSOLEIO_read = 1;

// Limits. Each domain's first XEN_LEGACY_MAX_VCPUS vCPUs have their vcpu_info in shared_info.
export const XEN_LEGACY_MAX_VCPUS = 32;
export const MAX_GUEST_CMDLINE = 1024;

/** A vCPU's clock. An odd version means that an update is under way. */
export const vcpu_time_info = /* @__PURE__ */ struct(
  "vcpu_time_info",
  {
    size: 32,
    align: 8,
    fields: {
      version: [0, "u32"],
      tsc_timestamp: [8, "u64"],
      system_time: [16, "u64"],
      tsc_to_system_mul: [24, "u32"],
      tsc_shift: [28, "s8"],
      flags: [29, "u8"],
    },
  },
  {
    size: 32,
    align: 4,
    fields: {
      version: [0, "u32"],
      tsc_timestamp: [8, "u64"],
      system_time: [16, "u64"],
      tsc_to_system_mul: [24, "u32"],
      tsc_shift: [28, "s8"],
      flags: [29, "u8"],
    },
  },
);
export const VCPU_TIME_INFO_SIZE = 32;
export const VCPU_TIME_INFO_VERSION = 0;
export const VCPU_TIME_INFO_TSC_TIMESTAMP = 8;
export const VCPU_TIME_INFO_SYSTEM_TIME = 16;
export const VCPU_TIME_INFO_TSC_TO_SYSTEM_MUL = 24;
export const VCPU_TIME_INFO_TSC_SHIFT = 28;
export const VCPU_TIME_INFO_FLAGS = 29;

/** A vCPU's part of shared_info. */
export const vcpu_info = /* @__PURE__ */ struct(
  "vcpu_info",
  {
    size: 64,
    align: 8,
    fields: {
      evtchn_upcall_pending: [0, "u8"],
      evtchn_upcall_mask: [1, "u8"],
      evtchn_pending_sel: [8, "u64"],
      arch: [16, 16],
      time: [32, 32],
    },
  },
  {
    size: 64,
    align: 4,
    fields: {
      evtchn_upcall_pending: [0, "u8"],
      evtchn_upcall_mask: [1, "u8"],
      evtchn_pending_sel: [4, "u32"],
      arch: [8, 24],
      time: [32, 32],
    },
  },
);
export const VCPU_INFO_SIZE = 64;
export const VCPU_INFO_EVTCHN_UPCALL_PENDING = 0;
export const VCPU_INFO_EVTCHN_UPCALL_MASK = 1;
export const VCPU_INFO_EVTCHN_PENDING_SEL = 8;
export const VCPU_INFO_ARCH = 16;
export const VCPU_INFO_TIME = 32;

/** The page that a domain and the hypervisor share. */
export const shared_info = /* @__PURE__ */ struct(
  "shared_info",
  {
    size: 3136,
    align: 8,
    fields: {
      vcpu_info: [0, 2048],
      evtchn_pending: [2048, 512],
      evtchn_mask: [2560, 512],
      wc_version: [3072, "u32"],
      wc_sec: [3076, "u32"],
      wc_nsec: [3080, "u32"],
      wc_sec_hi: [3084, "u32"],
      arch: [3088, 48],
    },
  },
  {
    size: 2344,
    align: 4,
    fields: {
      vcpu_info: [0, 2048],
      evtchn_pending: [2048, 128],
      evtchn_mask: [2176, 128],
      wc_version: [2304, "u32"],
      wc_sec: [2308, "u32"],
      wc_nsec: [2312, "u32"],
      arch: [2316, 24],
      wc_sec_hi: [2340, "u32"],
    },
  },
);
export const SHARED_INFO_SIZE = 3136;
export const SHARED_INFO_VCPU_INFO = 0;
export const SHARED_INFO_EVTCHN_PENDING = 2048;
export const SHARED_INFO_EVTCHN_MASK = 2560;
export const SHARED_INFO_WC_VERSION = 3072;
export const SHARED_INFO_WC_SEC = 3076;
export const SHARED_INFO_WC_NSEC = 3080;
export const SHARED_INFO_WC_SEC_HI = 3084;
export const SHARED_INFO_ARCH = 3088;

/** What a domain is told at boot. `cmd_line` ends with a zero byte. */
export const start_info = /* @__PURE__ */ struct(
  "start_info",
  {
    size: 1168,
    align: 8,
    fields: {
      magic: [0, 32],
      nr_pages: [32, "u64"],
      shared_info: [40, "u64"],
      flags: [48, "u32"],
      store_mfn: [56, "u64"],
      store_evtchn: [64, "u32"],
      "console.domU.mfn": [72, "u64"],
      "console.domU.evtchn": [80, "u32"],
      "console.dom0.info_off": [72, "u32"],
      "console.dom0.info_size": [76, "u32"],
      pt_base: [88, "u64"],
      nr_pt_frames: [96, "u64"],
      mfn_list: [104, "u64"],
      mod_start: [112, "u64"],
      mod_len: [120, "u64"],
      cmd_line: [128, 1024],
      first_p2m_pfn: [1152, "u64"],
      nr_p2m_frames: [1160, "u64"],
    },
  },
  {
    size: 1112,
    align: 4,
    fields: {
      magic: [0, 32],
      nr_pages: [32, "u32"],
      shared_info: [36, "u32"],
      flags: [40, "u32"],
      store_mfn: [44, "u32"],
      store_evtchn: [48, "u32"],
      "console.domU.mfn": [52, "u32"],
      "console.domU.evtchn": [56, "u32"],
      "console.dom0.info_off": [52, "u32"],
      "console.dom0.info_size": [56, "u32"],
      pt_base: [60, "u32"],
      nr_pt_frames: [64, "u32"],
      mfn_list: [68, "u32"],
      mod_start: [72, "u32"],
      mod_len: [76, "u32"],
      cmd_line: [80, 1024],
      first_p2m_pfn: [1104, "u32"],
      nr_p2m_frames: [1108, "u32"],
    },
  },
);
export const START_INFO_SIZE = 1168;
export const START_INFO_MAGIC = 0;
export const START_INFO_NR_PAGES = 32;
export const START_INFO_SHARED_INFO = 40;
export const START_INFO_FLAGS = 48;
export const START_INFO_STORE_MFN = 56;
export const START_INFO_STORE_EVTCHN = 64;
export const START_INFO_CONSOLE_DOMU_MFN = 72;
export const START_INFO_CONSOLE_DOMU_EVTCHN = 80;
export const START_INFO_CONSOLE_DOM0_INFO_OFF = 72;
export const START_INFO_CONSOLE_DOM0_INFO_SIZE = 76;
export const START_INFO_PT_BASE = 88;
export const START_INFO_NR_PT_FRAMES = 96;
export const START_INFO_MFN_LIST = 104;
export const START_INFO_MOD_START = 112;
export const START_INFO_MOD_LEN = 120;
export const START_INFO_CMD_LINE = 128;
export const START_INFO_FIRST_P2M_PFN = 1152;
export const START_INFO_NR_P2M_FRAMES = 1160;

/** start_info.magic of this interface's version, zero padded. */
export const START_INFO_MAGIC_XEN_3_0_X86_64 = "xen-3.0-x86_64";

// start_info.flags.
export const SIF_PRIVILEGED = 1;
export const SIF_INITDOMAIN = 2;
export const SIF_MULTIBOOT_MOD = 4;
export const SIF_MOD_START_PFN = 8;
export const SIF_VIRT_P2M_4TOOLS = 16;

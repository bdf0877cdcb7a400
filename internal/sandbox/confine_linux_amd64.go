package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"consilium/internal/analysis"
)

// limitResources bounds what this process may take, for good. Address space is bounded, and not the part of it that
// is in use, because that is what makes an allocation fail while somebody is there to say so.
func limitResources() error {
	// What is mapped already, libtorch and what the Go runtime reserves, differs from build to build and is no model's.
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("measure the address space: %w", err)
	}
	var pages uint64
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		return fmt.Errorf("measure the address space: %w", err)
	}
	for _, l := range []struct {
		name  string
		which int
		value uint64
	}{
		{"address space", syscall.RLIMIT_AS, pages*uint64(os.Getpagesize()) + analysis.MaxModelMemory},
		{"size of a file", syscall.RLIMIT_FSIZE, 0},
		{"size of a core dump", syscall.RLIMIT_CORE, 0},
		{"open files", syscall.RLIMIT_NOFILE, 64},
	} {
		if err := syscall.Setrlimit(l.which, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit the %s: %w", l.name, err)
		}
	}
	return nil
}

// closeInherited closes the files that came with this process but for the first keep. What the Go runtime opened since is
// to be closed on exec, and so is known not to have come through one.
func closeInherited(keep int) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd < keep {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			if err := syscall.Close(fd); err != nil {
				return fmt.Errorf("close an inherited file: %w", err)
			}
		}
	}
	return nil
}

// Numbers of the seccomp interface, see seccomp(2), and of what package syscall does not name.
const (
	sysSeccomp       = 317
	setModeFilter    = 1
	filterTsync      = 1
	setNoNewPrivs    = 38
	auditArchX86_64  = 0xc000003e
	returnAllow      = 0x7fff0000
	returnErrno      = 0x00050000
	returnKill       = 0x80000000
	cloneThread      = 0x00010000
	x32Bit           = 0x40000000
	offsetNumber     = 0
	offsetArch       = 4
	offsetFirst      = 16 // low half of the first argument
	sysClone3        = 435
	sysRseq          = 334
	sysMembarrier    = 324
	sysGetrandom     = 318
	sysGetcpu        = 309
	sysPread64       = 17
	sysEventfd2      = 290
	sysEpollCreate1  = 291
	sysPipe2         = 293
	sysEpollPwait2   = 441
	sysClockNanos    = 230
	sysClockGettime  = 228
	sysClockGetres   = 229
	sysTgkill        = 234
	sysSetRobustList = 273
	sysExitGroup     = 231
	sysEpollWait     = 232
	sysEpollCtl      = 233
	sysEpollPwait    = 281
)

// mayCall are the system calls that computing takes: memory, threads, time, signals within the process, and the pipes
// that are open already. Nothing opens, connects, starts or signals anything else.
var mayCall = []uint32{
	syscall.SYS_READ, syscall.SYS_WRITE, syscall.SYS_WRITEV, syscall.SYS_CLOSE, syscall.SYS_FSTAT, syscall.SYS_LSEEK, sysPread64,
	syscall.SYS_MMAP, syscall.SYS_MUNMAP, syscall.SYS_MREMAP, syscall.SYS_MPROTECT, syscall.SYS_MADVISE, syscall.SYS_BRK, syscall.SYS_MINCORE,
	syscall.SYS_FUTEX, syscall.SYS_SCHED_YIELD, syscall.SYS_SCHED_GETAFFINITY, syscall.SYS_NANOSLEEP, sysClockNanos, sysClockGettime, sysClockGetres,
	syscall.SYS_GETTIMEOFDAY, syscall.SYS_GETPID, syscall.SYS_GETTID, syscall.SYS_GETRUSAGE, syscall.SYS_SYSINFO, syscall.SYS_UNAME,
	syscall.SYS_RT_SIGACTION, syscall.SYS_RT_SIGPROCMASK, syscall.SYS_RT_SIGRETURN, syscall.SYS_SIGALTSTACK, syscall.SYS_RESTART_SYSCALL,
	syscall.SYS_EXIT, sysExitGroup, syscall.SYS_ARCH_PRCTL, syscall.SYS_SET_TID_ADDRESS, sysSetRobustList, sysRseq, sysMembarrier, sysGetrandom, sysGetcpu,
	sysEpollWait, sysEpollCtl, sysEpollPwait, sysEpollPwait2, sysEpollCreate1, sysEventfd2, sysPipe2, syscall.SYS_FCNTL,
}

// confine takes from every thread of this process, for good, all system calls but mayCall, new threads (but no new
// processes) and signals to the process itself. Any other call fails with EPERM.
func confine() error {
	load := func(offset uint32) syscall.SockFilter {
		return syscall.SockFilter{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offset}
	}
	give := func(value uint32) syscall.SockFilter {
		return syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: value}
	}
	// unless skips the next n steps if the value that was loaded compares so.
	unless := func(code uint16, value uint32, n uint8) syscall.SockFilter {
		return syscall.SockFilter{Code: syscall.BPF_JMP | code | syscall.BPF_K, Jf: n, K: value}
	}
	const denied = returnErrno | uint32(syscall.EPERM)
	program := []syscall.SockFilter{
		load(offsetArch),
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, Jt: 1, K: auditArchX86_64},
		give(returnKill),
		load(offsetNumber),
		unless(syscall.BPF_JGE, x32Bit, 1), give(denied),
		// The C library falls back from clone3, whose flags a filter cannot see, to clone.
		unless(syscall.BPF_JEQ, sysClone3, 1), give(returnErrno | uint32(syscall.ENOSYS)),
	}
	for _, number := range mayCall {
		program = append(program, unless(syscall.BPF_JEQ, number, 1), give(returnAllow))
	}
	program = append(program,
		unless(syscall.BPF_JEQ, syscall.SYS_CLONE, 4), load(offsetFirst),
		unless(syscall.BPF_JSET, cloneThread, 1), give(returnAllow), give(denied),
		unless(syscall.BPF_JEQ, sysTgkill, 4), load(offsetFirst),
		unless(syscall.BPF_JEQ, uint32(os.Getpid()), 1), give(returnAllow), give(denied),
		give(denied),
	)
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("give up new privileges: %w", errno)
	}
	filter := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// The result is the id of a thread that could not follow, if any.
	thread, _, errno := syscall.RawSyscall(sysSeccomp, setModeFilter, filterTsync, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("give up system calls: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("give up system calls: thread %d did not follow", thread)
	}
	return nil
}

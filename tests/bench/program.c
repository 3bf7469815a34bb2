/* The tree's program for the race: no C library, nothing but the exit, so that all the time
 * that is measured belongs to who ran it. */
void _start(void)
{
#if defined __x86_64__
    __asm__ volatile("syscall" : : "a"(60), "D"(0));
#elif defined __aarch64__
    register long call __asm__("x8") = 93;
    register long status __asm__("x0") = 0;
    __asm__ volatile("svc 0" : : "r"(call), "r"(status));
#else
#error "say here how this machine exits"
#endif
    __builtin_unreachable();
}

// The state of libtorch's random generators. The conventions are those of native.h; device is -1 for the CPU.
#ifdef __cplusplus
extern "C" {
#endif
char *consilium_random_state(void **out, int device);
char *consilium_set_random_state(void *state, int device);
#ifdef __cplusplus
}
#endif

// Memory and streams of the device, which gotch's binding lacks. The conventions are those of native.h.
#ifdef __cplusplus
extern "C" {
#endif
char *consilium_upload(void **out, const void *data, const long long *shape, int dims, int kind, int device);
char *consilium_download(void *data, void *self, int kind);
char *consilium_own_stream(int device);
char *consilium_synchronize(int device);
char *consilium_free_memory(unsigned long long *bytes);
#ifdef __cplusplus
}
#endif

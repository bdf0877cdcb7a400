// Attention without a mask, which gotch's binding cannot ask for. The conventions are those of native.h.
#ifdef __cplusplus
extern "C" {
#endif
char *consilium_attention(void **out, void *q, void *k, void *v);
#ifdef __cplusplus
}
#endif

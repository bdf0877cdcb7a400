// What gotch's binding lacks or leaks on. Handles are at::Tensor pointers, as in gotch's libtch. A function that
// can fail returns an error message that the caller frees, or NULL.
#ifdef __cplusplus
extern "C" {
#endif
char *consilium_gelu(void **out, void *self);
void consilium_set_num_threads(int n);
void consilium_manual_seed(unsigned long long seed);
#ifdef __cplusplus
}
#endif

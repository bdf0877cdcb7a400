package sandbox

import (
	"fmt"
	"strings"
)

// The operators that a module's forward may reach: plain computations on tensors and numbers. Not among them, on
// purpose: what reads or writes files (from_file, save), draws random numbers, prints, starts threads (fork), calls
// what only running would tell, changes the module (SetAttr), or reaches past the bounds of a tensor's memory
// (set_, resize_).
const (
	controlOperators = `
		Constant GetAttr ListConstruct ListUnpack TupleConstruct TupleUnpack TupleIndex TupleSlice DictConstruct ConstantChunk
		If Loop Uninitialized RaiseException NumToTensor annotate rangelist
		unchecked_cast unchecked_unwrap_optional isinstance dtype device shape layout is_cuda is_cpu requires_grad type
		min max abs itemsize ndim is_nested is_sparse is_mkldnn is_quantized`

	languageOperators = `
		__getitem__ __is__ __isnot__ __not__ __contains__ __and__ __or__ __xor__ __range_length __derive_index __round_to_zero_floordiv
		len append extend insert copy slice list format str warn item Int Float Bool IntImplicit FloatImplicit ScalarImplicit
		_unwrap_optional is_autocast_enabled is_grad_enabled eq ne lt le gt ge add sub mul div floordiv remainder pow neg ceil floor round trunc sqrt exp log
		size dim numel is_floating_point sym_size stride is_contiguous keys values items get tensor scalar_tensor`

	tensorOperators = `
		conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d _convolution convolution
		batch_norm instance_norm layer_norm native_layer_norm group_norm local_response_norm
		linear matmul mm bmm addmm baddbmm mv dot einsum bilinear tensordot outer
		scaled_dot_product_attention _native_multi_head_attention _transformer_encoder_layer_fwd
		_nested_tensor_from_mask _nested_tensor_from_mask_left_aligned to_padded_tensor
		relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid hardsigmoid hardswish hardtanh tanh softplus softsign
		prelu rrelu logsigmoid log_sigmoid threshold glu log_softmax softmax softmin dropout feature_dropout alpha_dropout
		feature_alpha_dropout softshrink hardshrink tanhshrink
		max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
		adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d lp_pool2d
		upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d
		upsample_trilinear3d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
		_upsample_bilinear2d_aa _upsample_bicubic2d_aa __interpolate interpolate grid_sampler affine_grid_generator pixel_shuffle pixel_unshuffle channel_shuffle
		pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d
		view view_as reshape reshape_as flatten unflatten squeeze unsqueeze permute transpose t movedim moveaxis contiguous
		expand expand_as repeat repeat_interleave tile broadcast_to cat concat concatenate stack hstack vstack dstack chunk split
		split_with_sizes tensor_split unbind select narrow index index_select gather take take_along_dim masked_select
		masked_fill where lift_fresh _weight_norm scatter scatter_add index_add index_copy index_fill roll flip rot90 tril triu diagonal diag diag_embed
		unfold im2col col2im meshgrid alias detach clone to type_as float double half long int bool cpu size_as
		zeros ones full empty zeros_like ones_like full_like empty_like new_zeros new_ones new_full arange linspace eye
		embedding embedding_bag one_hot
		rsqrt square abs sign sgn exp2 expm1 log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh asinh acosh atanh erf erfc
		reciprocal clamp clamp_min clamp_max clip frac fmod true_divide floor_divide rsub addcmul addcdiv lerp hypot
		maximum minimum fmax fmin logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not
		isnan isinf isfinite nan_to_num lgamma
		sum mean prod amax amin aminmax max min argmax argmin sort argsort topk std var std_mean var_mean median mode norm
		linalg_norm linalg_vector_norm frobenius_norm normalize cosine_similarity pairwise_distance cdist logsumexp cumsum
		cumprod all any count_nonzero unique_consecutive histc bincount
		fft_fft2 fft_rfft2 fft_ifft2 fft_irfft2 view_as_real view_as_complex real imag
		lstm gru rnn_tanh rnn_relu
		add_ sub_ mul_ div_ relu_ relu6_ leaky_relu_ elu_ selu_ celu_ silu_ mish_ sigmoid_ hardsigmoid_ hardswish_ hardtanh_ tanh_
		clamp_ clamp_min_ clamp_max_ dropout_ feature_dropout_ masked_fill_ fill_ zero_ copy_ exp_ sqrt_ rsqrt_ abs_ neg_ pow_
		unsqueeze_ squeeze_ threshold_ addmm_ index_put index_put_ floor_ round_`
)

var allowedOperators = func() map[string]bool {
	allowed := map[string]bool{}
	for prefix, names := range map[string]string{"prim::": controlOperators, "aten::": languageOperators + tensorOperators} {
		for name := range strings.FieldsSeq(names) {
			allowed[prefix+name] = true
		}
	}
	return allowed
}()

// checkOperators refuses a module that reaches operators which are not on the list, and names them.
func checkOperators(kinds []string) error {
	var others []string
	for _, kind := range kinds {
		if !allowedOperators[kind] {
			others = append(others, kind)
		}
	}
	if len(others) == 0 {
		return nil
	}
	e := refused("the module uses operators that a model may not use")
	e.Limit, e.Value = "plain computations, as docs/model-repository.md lists them", strings.Join(others[:min(len(others), 8)], ", ")
	if more := len(others) - 8; more > 0 {
		e.Value += fmt.Sprintf(" and %d more", more)
	}
	return e
}

package media

// ITU-T G.711 stores a sample in 8 bits: a sign, three bits of exponent and four of mantissa.

// muLawSample expands one mu-law byte to [-1, 1]; the largest magnitude is 32124 of 32768.
func muLawSample(b byte) float32 {
	b = ^b // transmitted inverted
	exponent, mantissa := b>>4&7, int(b&15)
	magnitude := (mantissa<<3+132)<<exponent - 132
	return signed(b&0x80 != 0, magnitude)
}

// aLawSample expands one A-law byte to [-1, 1]; the largest magnitude is 32256 of 32768.
func aLawSample(b byte) float32 {
	b ^= 0x55 // every second bit is transmitted inverted
	exponent, mantissa := b>>4&7, int(b&15)
	magnitude := mantissa<<4 + 8
	if exponent > 0 {
		magnitude = (magnitude + 256) << (exponent - 1)
	}
	return signed(b&0x80 == 0, magnitude)
}

func signed(negative bool, magnitude int) float32 {
	if negative {
		magnitude = -magnitude
	}
	return float32(magnitude) / 32768
}

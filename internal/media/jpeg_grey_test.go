//go:build cgo

package media

import (
	"bytes"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"testing"
)

// greyJPEG returns a picture with edges, slopes and noise as a JPEG.
func greyJPEG(t testing.TB, width, height, quality int) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(width), uint64(height)))
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		x, y := i%width, i/width
		img.Pix[i] = uint8(x*y/64) ^ uint8((x/24+y/40)%2*200) + uint8(rng.IntN(1+(x/32)%3*40))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sameAsStandard fails unless both decoders make the same picture, each pixel to 1.
func sameAsStandard(t *testing.T, what string, file []byte) {
	t.Helper()
	decoded, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	want := decoded.(*image.Gray)
	got, ok := decodeGreyJPEG(file)
	if !ok || got.Bounds() != want.Bounds() {
		t.Fatalf("%s: decoded %v, want %v", what, ok, want.Bounds())
	}
	for y := range want.Rect.Dy() {
		for x := range want.Rect.Dx() {
			if a, b := int(got.GrayAt(x, y).Y), int(want.GrayAt(x, y).Y); a < b-1 || a > b+1 {
				t.Fatalf("%s: pixel %d, %d is %d, want %d", what, x, y, a, b)
			}
		}
	}
}

func TestGreyJPEGIsTheStandardLibrarys(t *testing.T) {
	for _, quality := range []int{1, 20, 75, 90, 100} {
		for _, size := range [][2]int{{1, 1}, {8, 8}, {7, 130}, {128, 16}, {300, 201}, {129, 257}} {
			sameAsStandard(t, "picture", greyJPEG(t, size[0], size[1], quality))
		}
	}
}

// TestGreyJPEGLeavesTheRest: what it does not read goes to the standard library, and a broken file never panics.
func TestGreyJPEGLeavesTheRest(t *testing.T) {
	var colour bytes.Buffer
	if err := jpeg.Encode(&colour, image.NewRGBA(image.Rect(0, 0, 20, 20)), nil); err != nil {
		t.Fatal(err)
	}
	if _, ok := decodeGreyJPEG(colour.Bytes()); ok {
		t.Error("it decoded a JPEG of three components")
	}
	file := greyJPEG(t, 120, 90, 80)
	for cut := 2; cut < len(file); cut += 7 {
		if _, ok := decodeGreyJPEG(file[:cut]); ok {
			t.Errorf("it decoded the first %d of %d bytes", cut, len(file))
		}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for range 20000 {
		broken := bytes.Clone(file)
		for range 1 + rng.IntN(4) {
			broken[2+rng.IntN(len(broken)-2)] = byte(rng.IntN(256))
		}
		got, ok := decodeGreyJPEG(broken)
		if !ok {
			continue
		}
		// What it does take is a picture to the standard library as well.
		if h, err := CheckImage(broken); err == nil && got.Bounds().Size() != image.Pt(h.Width, h.Height) {
			t.Fatalf("it decoded %v pixels of a picture of %d x %d", got.Bounds().Size(), h.Width, h.Height)
		}
	}
}

func TestGreyJPEGWithRestarts(t *testing.T) {
	file, err := os.ReadFile("testdata/grey-restart.jpg")
	if err != nil {
		t.Fatal(err)
	}
	sameAsStandard(t, "restarts", file)
	wrong := bytes.Replace(file, []byte{0xff, 0xd1}, []byte{0xff, 0xd2}, 1)
	if _, ok := decodeGreyJPEG(wrong); ok {
		t.Error("it decoded restarts in the wrong order")
	}
}

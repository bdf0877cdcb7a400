package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"

	"consilium/internal/wire"
	"consilium/internal/wire/conform"
	visionencoder "consilium/services/vision-encoder"
)

// picture returns a picture with a gradient and an edge.
func picture(width, height int) image.Image {
	p := image.NewGray16(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			v := uint16(x * 0xFFFF / width)
			if y > height/2 {
				v = 0xFFFF - v
			}
			p.SetGray16(x, y, color.Gray16{Y: v})
		}
	}
	return p
}

// TestProgram runs the program itself: what its clients, ours and Triton's, get is what the service makes in process.
func TestProgram(t *testing.T) {
	var deep, lossy bytes.Buffer
	if err := png.Encode(&deep, picture(300, 200)); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&lossy, picture(128, 256), nil); err != nil {
		t.Fatal(err)
	}
	url := conform.Program(t, run)
	local, err := visionencoder.New(visionencoder.Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	remote, err := wire.NewVisionEncoder(url, wire.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	pictures := map[string][]byte{
		"16-bit PNG": deep.Bytes(), "JPEG": lossy.Bytes(), "half a PNG": deep.Bytes()[:deep.Len()/2],
		"half a JPEG": lossy.Bytes()[:lossy.Len()/2], "GIF": []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), "text": []byte("no picture"),
	}
	conform.Vision(t, local, remote, pictures)
	t.Run("segmentation", func(t *testing.T) {
		masks, err := wire.NewSegmenter(url, wire.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := masks.Ready(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
		conform.Segmentation(t, local.Segmenter(), masks, pictures)
	})

	t.Run("tritonclient", func(t *testing.T) {
		images := [][]byte{deep.Bytes(), lossy.Bytes()}
		answer := conform.Triton(t, url, wire.VisionModel, nil, conform.TritonInput{Name: "image", Datatype: "BYTES", Shape: []int{2}, Data: images})
		want, err := local.EncodeImage(t.Context(), images)
		if err != nil {
			t.Fatal(err)
		}
		conform.CheckTritonFeatures(t, answer, want)
	})
}

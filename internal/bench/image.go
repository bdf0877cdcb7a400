package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	jpegcodec "image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/media"
	"consilium/internal/weights"
)

// side of the net's input.
const side = 224

// timedPictures is how many radiographs are timed; the 8-bit forms are calibrated on the rest.
const timedPictures = 8

var imageBatches = []int{1, timedPictures}

// pictures are what the image net reads, here and in a file for the peers.
type pictures struct {
	inputs [][]float32 // each (3, 224, 224)
	file   string
}

// jpeg is a file to decode.
type jpeg struct {
	content []byte
	file    string
}

// films returns 16 radiographs, decoded, in the order of their names.
func films() ([]image.Image, error) {
	folder, err := weights.Path("pneumonia-val")
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.jpeg"))
	if err != nil {
		return nil, err
	}
	var all []image.Image
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		decoded, err := media.DecodeImage(content)
		if err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
		all = append(all, decoded.Image)
	}
	if len(all) <= timedPictures {
		return nil, fmt.Errorf("read radiographs: %s holds %d, want more than %d", folder, len(all), timedPictures)
	}
	return all, nil
}

// newPictures makes the net's input of images and writes it to file.
func newPictures(file string, images []image.Image) (*pictures, error) {
	p := &pictures{file: file}
	var b []byte
	for _, img := range images {
		input := media.ImageTensor(img, side)
		p.inputs = append(p.inputs, input)
		for _, v := range input {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return p, os.WriteFile(file, b, 0o644)
}

// grey returns the film with that many pixels each way, of 0 to 255.
func grey(film image.Image, size int) []uint8 {
	plane := media.ImageTensor(film, size)[:size*size]
	out := make([]uint8, len(plane))
	for i, v := range plane {
		out[i] = uint8(v*128 + 127)
	}
	return out
}

// Sizes of the files that are decoded, in pixels each way.
const (
	jpegSide  = 1024
	dicomSide = 2000
)

// newJPEG writes the film as a grey JPEG.
func newJPEG(file string, film image.Image) (*jpeg, error) {
	img := &image.Gray{Pix: grey(film, jpegSide), Stride: jpegSide, Rect: image.Rect(0, 0, jpegSide, jpegSide)}
	var b bytes.Buffer
	if err := jpegcodec.Encode(&b, img, &jpegcodec.Options{Quality: 90}); err != nil {
		return nil, err
	}
	return &jpeg{b.Bytes(), file}, os.WriteFile(file, b.Bytes(), 0o644)
}

// newDICOM returns the film as a DICOM file of 16 bits, with noise in the lower eight.
func newDICOM(film image.Image) ([]byte, error) {
	r := rand.New(rand.NewPCG(timedSeed, 2))
	pixels := make([]byte, 0, 2*dicomSide*dicomSide)
	for _, v := range grey(film, dicomSide) {
		pixels = binary.LittleEndian.AppendUint16(pixels, uint16(v)<<8|uint16(r.IntN(256)))
	}
	return dicom.Write(&dicom.File{Dataset: dicom.NewDataset(
		dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2.840.10008.5.1.4.1.1.1"), dicom.NewText(dicom.SOPInstanceUID, dicom.UI, "2.25.1"),
		dicom.NewInts(dicom.SamplesPerPixel, dicom.US, 1), dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME2"),
		dicom.NewInts(dicom.Rows, dicom.US, dicomSide), dicom.NewInts(dicom.Columns, dicom.US, dicomSide),
		dicom.NewInts(dicom.BitsAllocated, dicom.US, 16), dicom.NewInts(dicom.BitsStored, dicom.US, 16), dicom.NewInts(dicom.HighBit, dicom.US, 15),
		dicom.NewInts(dicom.PixelRepresentation, dicom.US, 0),
		&dicom.Element{Tag: dicom.PixelData, VR: dicom.OW, Value: pixels},
	)})
}

// toTensor decodes a file to the net's input.
func toTensor(content []byte) ([][]float32, error) {
	d, err := media.DecodeImage(content)
	if err != nil {
		return nil, err
	}
	return [][]float32{media.ImageTensor(d.Image, side)}, nil
}

// decoding is a contender that decodes content.
func decoding(content []byte) entrant {
	return entrant{class: FP32, ours: true, Contender: &own{name: "consilium", begin: func(*Case) func(context.Context) ([][]float32, error) {
		return func(context.Context) ([][]float32, error) { return toTensor(content) }
	}}}
}

// ourPictures is an image encoder.
func ourPictures(name string, class Class, encode func(context.Context, [][]float32) ([]*analysis.Features, error)) entrant {
	return entrant{class: class, ours: true, Contender: &own{name: name, begin: func(c *Case) func(context.Context) ([][]float32, error) {
		return func(ctx context.Context) ([][]float32, error) {
			features, err := encode(ctx, c.Pictures.inputs)
			return vectors(features), err
		}
	}}}
}

// image times pictures.
func (b *bench) image(ctx context.Context) error {
	all, err := films()
	if err != nil {
		return err
	}
	if err := b.nets(ctx, all[:timedPictures]); err != nil {
		return err
	}
	return b.files(ctx, all[0])
}

// nets times the net.
func (b *bench) nets(ctx context.Context, films []image.Image) error {
	peers, closePeers, err := b.engines(ctx, "image", "torch", "onnxruntime", "openvino", "onnxruntime-int8", "openvino-int8")
	if err != nil {
		return err
	}
	defer closePeers()
	ours := []entrant{ourPictures("consilium", FP32, b.Tensors)}
	if b.TensorsInt8 != nil {
		ours = append(ours, ourPictures("consilium, 8 bit", Int8, b.TensorsInt8))
	}
	for _, size := range imageBatches {
		c := &Case{Name: fmt.Sprintf("image-%d", size), About: fmt.Sprintf("%d a call", size), Items: size, Work: float64(size) * b.ImageWork}
		if c.Pictures, err = newPictures(filepath.Join(b.dir, c.Name+".f32"), films[:size]); err != nil {
			return err
		}
		rows, others, err := b.measure(ctx, c, append(ours, peers...))
		if err != nil {
			return err
		}
		b.add(classes(c, rows, others)...)
	}
	return nil
}

// files times what comes before the net.
func (b *bench) files(ctx context.Context, film image.Image) error {
	peers, closePeers, err := b.engines(ctx, "jpeg", "pillow")
	if err != nil {
		return err
	}
	defer closePeers()
	c := &Case{Name: "image-decode-jpeg", About: fmt.Sprintf("a grey JPEG of %d pixels each way, decoded and resized to the net's input", jpegSide), Items: 1}
	if c.JPEG, err = newJPEG(filepath.Join(b.dir, "film.jpeg"), film); err != nil {
		return err
	}
	rows, others, err := b.measure(ctx, c, append([]entrant{decoding(c.JPEG.content)}, peers...))
	if err != nil {
		return err
	}
	b.add(ratio(c.Name, c.About, FP32, false, rows, others))

	content, err := newDICOM(film)
	if err != nil {
		return err
	}
	c = &Case{Name: "image-decode-dicom", About: fmt.Sprintf("DICOM of %d pixels each way and 16 bits, decoded and resized to the net's input", dicomSide), Items: 1}
	if rows, others, err = b.measure(ctx, c, []entrant{decoding(content)}); err != nil {
		return err
	}
	b.add(milliseconds(c.Name, "p50-ms", c.About, others, rows[0].seconds))
	return nil
}

// milliseconds is a figure of the median of seconds.
func milliseconds(name, metric, about string, others float64, seconds []float64) Figure {
	value, best := 1000*median(seconds), 1000*slices.Min(seconds)
	return Figure{Name: name, Metric: metric, Value: &value, Best: &best, About: about, Others: others}
}

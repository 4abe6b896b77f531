// Package reader turns image files into the numbers that a model of mttc takes, as training read its images.
// It is the reader in C of this folder (libjpeg-turbo, libpng, libwebp, Little CMS): decoders written in Go
// give other pixels.
package reader

// #cgo pkg-config: libjpeg libpng lcms2 libwebp libwebpdemux
// #cgo CFLAGS: -std=c11 -D_POSIX_C_SOURCE=200809L
// #cgo LDFLAGS: -lm
// #include <stdlib.h>
// #include "reader.h"
import "C"

import "unsafe"

// Rules are what a model wants of an image: the facts of `preprocessing` in its metadata.
type Rules struct {
	// Width and Height of the model's image.
	Width, Height uint32
	// Resize says whether the image is brought to that size; else the graph resizes.
	Resize bool
	// Channels of the model's image; 1 or 3.
	Channels uint32
	// Grey says whether colours become grey.
	Grey bool
	// CMYK is sRGB of CMYK without a profile, at 5 steps of each ink, [C, M, Y, K, RGB]: CMYKBytes of them. Nil:
	// such an image is refused.
	CMYK []byte
}

// CMYKBytes is how long Rules.CMYK is.
const CMYKBytes = C.MTTC_CMYK_BYTES

// Image has pixels of 8 bits, [height, width, channels], row-major.
type Image struct {
	Width, Height, Channels int
	Pixels                  []byte
}

// Fault says what is wrong with an image, as one of mttc's codes and a sentence.
type Fault struct{ Code, Text string }

func (fault *Fault) Error() string { return fault.Code + ": " + fault.Text }

// ReadFile decodes an image file. The error is a *Fault: E_IMG_FORMAT, E_IMG_LIMIT, E_IMG_SIZE,
// E_IMG_TRUNCATED, E_FILE, E_PATH_TYPE.
func ReadFile(path string, rules Rules) (*Image, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	wanted := C.struct_mttc_rules{
		width:    C.uint32_t(rules.Width),
		height:   C.uint32_t(rules.Height),
		resize:   C.bool(rules.Resize),
		channels: C.uint32_t(rules.Channels),
		grey:     C.bool(rules.Grey),
	}
	if len(rules.CMYK) == CMYKBytes {
		grid := C.CBytes(rules.CMYK)
		defer C.free(grid)
		wanted.cmyk = (*C.uint8_t)(grid)
	}
	var image C.struct_mttc_image
	var fault C.struct_mttc_fault
	if !C.mttc_read_image_file(name, &wanted, &image, &fault) {
		return nil, &Fault{C.GoString(fault.code), C.GoString(&fault.text[0])}
	}
	defer C.mttc_image_free(&image)
	size := int(image.width) * int(image.height) * int(image.channels)
	pixels := make([]byte, size)
	copy(pixels, unsafe.Slice((*byte)(image.data), size))
	return &Image{int(image.width), int(image.height), int(image.channels), pixels}, nil
}

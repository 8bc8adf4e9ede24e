package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Place is a folder of models on another drive than AlphaOS's own.
type Place struct {
	Name   string // of the drive, and the folder there; it has no slash at its end
	Models Models
}

// Elsewhere adds to models those in places that look finds, which is asked by ListAll alone: a
// person who does not ask for them has other people's drives left alone. Their names begin with
// their place.
func Elsewhere(own Models, look func() ([]Place, error)) *Places {
	return &Places{Models: own, look: look}
}

// Places are models here and elsewhere.
type Places struct {
	Models
	look  func() ([]Place, error)
	found []Place
}

// ListAll looks for models elsewhere and lists them. With an error, it lists what there is
// nevertheless. Open opens them from then on.
func (p *Places) ListAll() (list []ModelFile, err error) {
	p.found, err = p.look()
	errs := []error{err}
	for _, place := range p.found {
		models, err := place.Models.List()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place.Name, err))
		}
		for _, m := range models {
			m.Name, m.Elsewhere = place.Name+"/"+m.Name, true
			list = append(list, m)
		}
	}
	return list, errors.Join(errs...)
}

// Open opens a model that List or ListAll has listed.
func (p *Places) Open(name string) (ModelReader, error) {
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return p.Models.Open(name)
	}
	for _, place := range p.found {
		if place.Name == name[:at] {
			return place.Models.Open(name[at+1:])
		}
	}
	return nil, fmt.Errorf("the model's %w: %s", fs.ErrNotExist, name)
}

package drive

// Putting volumes in order that were not when they were last used: because the power went, or somebody
// pulled the drive out of a computer that had changed something on it; or on which the journal could not be
// opened. It is done before anything is written, and what a volume in order costs is a look at what a start
// reads anyway.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"alphaos/fs"
	"alphaos/fs/fat"
	"alphaos/fs/volume"
)

// mendTime is how long the check of one volume may take.
const mendTime = 20 * time.Second

// inPlace are the files that AlphaOS overwrites where they lie, if they are there.
func inPlace() []string {
	names := []string{StatePath, CrashPath, BootLogPath, ProcessorsPath}
	for n := range mostSegments {
		names = append(names, segmentPath(n+1))
	}
	return names
}

// InPlace returns the paths of the files that AlphaOS overwrites where they lie, on the volumes of
// whatever layout. Nothing else may change their clusters.
func InPlace() (list []string) {
	for _, name := range inPlace() {
		for layout := range Layouts {
			_, at := Layout(layout).At(name)
			list = append(list, at)
		}
	}
	return list
}

// Dirty tells whether one of the volumes was not put in order when it was last used, or a file on it that is
// overwritten in place cannot be opened since the FATs disagree about where it lies.
func (d *Drive) Dirty() bool {
	for part := range d.volumes {
		if d.dirty(Part(part)) {
			return true
		}
	}
	return false
}

func (d *Drive) dirty(part Part) bool {
	v := d.volumes[part]
	return v != nil && (v.Dirty() || slices.ContainsFunc(inPlace(), func(name string) bool {
		on, at := d.Layout.At(name)
		if on != part {
			return false
		}
		f, err := v.OpenInPlace(at)
		if err == nil {
			err = f.Close()
		}
		return errors.Is(err, fat.ErrDisagree)
	}))
}

// Mend checks those volumes that are Dirty or, after an unclean end, all of them, and mends them; none twice.
// It says in sentences what there is to say to a person: nothing if
// nothing but marks and counts was wrong. An error is told as well, and the volume can be used as
// before. log gets the rest, without names of files. progress is told how many bytes were looked at, of about how
// many. What was not checked when ctx is done is told, too.
func (d *Drive) Mend(ctx context.Context, unclean bool, now time.Time, progress func(done, total int64), log func(format string, args ...any)) (said []string) {
	var done, total int64
	for part, v := range d.volumes {
		if v != nil && !d.checked[part] && (unclean || d.dirty(Part(part))) {
			total += v.looks()
		}
	}
	for part, v := range d.volumes {
		if v == nil || d.checked[part] || !unclean && !d.dirty(Part(part)) {
			continue
		}
		d.checked[part] = true
		d.names = d.names || part == int(Knowledge) && v.Kind() != volume.FAT32
		state := "was not put in order when it was last used"
		if !unclean && !v.Dirty() {
			state = "was not in order"
		}
		switch {
		case v.Device.ReadOnly():
			log("drive: the %s partition is not checked, it is write protected", Parts[part].Name)
			continue
		case v.Writable() != nil: // Notes tells
			log("drive: the %s partition is not checked: %v", Parts[part].Name, v.Writable())
			continue
		case v.Kind() == volume.FAT32 && !d.Ours(): // whose clusters would be taken for nobody's, if the journal has lost its name
			log("drive: the %s partition is not checked, there is no journal", Parts[part].Name)
			continue
		}
		began := time.Now()
		r, err := v.Check(fs.CheckOptions{Repair: true, Protect: InPlace(), Time: fatTime(now), Watch: func(bytes int) error {
			done += int64(bytes)
			progress(min(done, total), total)
			switch {
			case ctx.Err() != nil:
				return errors.New("you stopped it")
			case time.Since(began) > mendTime:
				return errors.New("it takes too long")
			}
			return nil
		}})
		mended := 0
		for _, p := range r.Problems {
			if p.Mended {
				mended++
			}
		}
		log("drive: the %s partition was checked in %v: %d problems, %d mended, error %v", Parts[part].Name, time.Since(began).Round(time.Millisecond), len(r.Problems)+r.More, mended, err)
		name := v.Label()
		if name == "" {
			name = "the drive"
		}
		if s := mendedSentence(name, state, r); s != "" {
			said = append(said, s)
		}
		if err != nil {
			said = append(said, fmt.Sprintf("The check of %s, which %s, could not be ended, and it is used as it is: %s", name, state, fs.Explain(err)))
		}
	}
	return said
}

// looks is about how many bytes a check looks at: two FATs, beside which directories are little; of ext4 its bitmaps, and some inodes.
func (v *Volume) looks() int64 {
	if v.Kind() == volume.FAT32 {
		return v.Size() / v.ClusterSize() * 4 * 2
	}
	return v.Size()/v.ClusterSize()/8 + 1<<20
}

// mendedSentence says what was mended on the volume name, which was in that state, and what could not be.
func mendedSentence(name, state string, r fs.Report) string {
	const most = 3
	var done, left []string
	more := r.More
	for _, p := range r.Problems {
		list, clause := &done, p.Clause()
		if !p.Mended {
			list = &left
		}
		switch {
		case p.Kind == fs.Mark: // of no interest
		case len(*list) == most:
			more++
		default:
			*list = append(*list, clause)
		}
	}
	s := ""
	if len(done) > 0 {
		s = fmt.Sprintf("%s %s, and was mended: %s", capital(name), state, strings.Join(done, "; "))
		if more > 0 {
			s += fmt.Sprintf("; and %d things more", more)
		}
		s += "."
	}
	if len(left) > 0 {
		s = strings.TrimPrefix(s+fmt.Sprintf(" On %s could not be mended: %s. Copy what you need from it, and have it checked on another computer.", name, strings.Join(left, "; ")), " ")
	}
	return s
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// fatTime returns a time that FAT can keep: t, or the first that there is.
func fatTime(t time.Time) time.Time {
	if t.Year() < 1980 || t.Year() > 2107 {
		return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}

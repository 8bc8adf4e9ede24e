package efi

import (
	"fmt"

	"alphaos/fs"
)

// Status is an EFI_STATUS (UEFI 2.10, Appendix D). Errors have the top bit
// set; warnings and success do not. Error statuses are Go errors: they print
// their name in the specification and what it means to a person, and can be
// compared with errors.Is. Those that a medium gives are also what package fs
// calls them.
type Status uintptr

const errorBit = 1 << 63

// Statuses of UEFI 2.10, Appendix D.
const (
	Success             Status = 0
	LoadError           Status = errorBit | 1
	InvalidParameter    Status = errorBit | 2
	Unsupported         Status = errorBit | 3
	BadBufferSize       Status = errorBit | 4
	BufferTooSmall      Status = errorBit | 5
	NotReady            Status = errorBit | 6
	DeviceError         Status = errorBit | 7
	WriteProtected      Status = errorBit | 8
	OutOfResources      Status = errorBit | 9
	VolumeCorrupted     Status = errorBit | 10
	VolumeFull          Status = errorBit | 11
	NoMedia             Status = errorBit | 12
	MediaChanged        Status = errorBit | 13
	NotFound            Status = errorBit | 14
	AccessDenied        Status = errorBit | 15
	NoResponse          Status = errorBit | 16
	NoMapping           Status = errorBit | 17
	Timeout             Status = errorBit | 18
	NotStarted          Status = errorBit | 19
	AlreadyStarted      Status = errorBit | 20
	Aborted             Status = errorBit | 21
	ICMPError           Status = errorBit | 22
	TFTPError           Status = errorBit | 23
	ProtocolError       Status = errorBit | 24
	IncompatibleVersion Status = errorBit | 25
	SecurityViolation   Status = errorBit | 26
	CRCError            Status = errorBit | 27
	EndOfMedia          Status = errorBit | 28
	EndOfFile           Status = errorBit | 31
	InvalidLanguage     Status = errorBit | 32
	CompromisedData     Status = errorBit | 33
	IPAddressConflict   Status = errorBit | 34
	HTTPError           Status = errorBit | 35

	WarnUnknownGlyph   Status = 1
	WarnDeleteFailure  Status = 2
	WarnWriteFailure   Status = 3
	WarnBufferTooSmall Status = 4
	WarnStaleData      Status = 5
	WarnFileSystem     Status = 6
	WarnResetRequired  Status = 7
)

// statusText gives the name in the specification and the meaning in a clause.
var statusText = map[Status][2]string{
	Success:             {"EFI_SUCCESS", "done"},
	LoadError:           {"EFI_LOAD_ERROR", "the image could not be loaded"},
	InvalidParameter:    {"EFI_INVALID_PARAMETER", "the firmware did not accept a parameter"},
	Unsupported:         {"EFI_UNSUPPORTED", "the firmware does not support this"},
	BadBufferSize:       {"EFI_BAD_BUFFER_SIZE", "the size is not a whole number of blocks"},
	BufferTooSmall:      {"EFI_BUFFER_TOO_SMALL", "the buffer is too small"},
	NotReady:            {"EFI_NOT_READY", "nothing is pending"},
	DeviceError:         {"EFI_DEVICE_ERROR", "the device reported an error"},
	WriteProtected:      {"EFI_WRITE_PROTECTED", "the medium is write protected"},
	OutOfResources:      {"EFI_OUT_OF_RESOURCES", "the firmware has run out of memory or another resource"},
	VolumeCorrupted:     {"EFI_VOLUME_CORRUPTED", "the file system is damaged"},
	VolumeFull:          {"EFI_VOLUME_FULL", "the file system is full"},
	NoMedia:             {"EFI_NO_MEDIA", "there is no medium in the device"},
	MediaChanged:        {"EFI_MEDIA_CHANGED", "the medium was removed or exchanged"},
	NotFound:            {"EFI_NOT_FOUND", "not found"},
	AccessDenied:        {"EFI_ACCESS_DENIED", "access was denied"},
	NoResponse:          {"EFI_NO_RESPONSE", "there was no answer"},
	NoMapping:           {"EFI_NO_MAPPING", "no mapping to the device exists"},
	Timeout:             {"EFI_TIMEOUT", "the time allowed has passed"},
	NotStarted:          {"EFI_NOT_STARTED", "the device has not been started"},
	AlreadyStarted:      {"EFI_ALREADY_STARTED", "the device has already been started"},
	Aborted:             {"EFI_ABORTED", "the operation was aborted"},
	ICMPError:           {"EFI_ICMP_ERROR", "an ICMP error occurred"},
	TFTPError:           {"EFI_TFTP_ERROR", "a TFTP error occurred"},
	ProtocolError:       {"EFI_PROTOCOL_ERROR", "a protocol error occurred"},
	IncompatibleVersion: {"EFI_INCOMPATIBLE_VERSION", "the versions do not fit together"},
	SecurityViolation:   {"EFI_SECURITY_VIOLATION", "the security policy forbids it"},
	CRCError:            {"EFI_CRC_ERROR", "a checksum does not match"},
	EndOfMedia:          {"EFI_END_OF_MEDIA", "the end of the medium was reached"},
	EndOfFile:           {"EFI_END_OF_FILE", "the end of the file was reached"},
	InvalidLanguage:     {"EFI_INVALID_LANGUAGE", "the language is not valid"},
	CompromisedData:     {"EFI_COMPROMISED_DATA", "the data may have been tampered with"},
	IPAddressConflict:   {"EFI_IP_ADDRESS_CONFLICT", "the IP address is in use"},
	HTTPError:           {"EFI_HTTP_ERROR", "an HTTP error occurred"},

	WarnUnknownGlyph:   {"EFI_WARN_UNKNOWN_GLYPH", "some characters could not be shown"},
	WarnDeleteFailure:  {"EFI_WARN_DELETE_FAILURE", "the file was not deleted"},
	WarnWriteFailure:   {"EFI_WARN_WRITE_FAILURE", "the file was not flushed properly"},
	WarnBufferTooSmall: {"EFI_WARN_BUFFER_TOO_SMALL", "the data was cut to the size of the buffer"},
	WarnStaleData:      {"EFI_WARN_STALE_DATA", "the data is out of date"},
	WarnFileSystem:     {"EFI_WARN_FILE_SYSTEM", "the buffer holds a file system"},
	WarnResetRequired:  {"EFI_WARN_RESET_REQUIRED", "a restart is required"},
}

// Name returns the name of the status in the specification, or its number.
func (s Status) Name() string {
	if t, ok := statusText[s]; ok {
		return t[0]
	}
	return fmt.Sprintf("EFI status %#x", uintptr(s))
}

// Error returns the name and the meaning, e.g.
// "EFI_NO_MEDIA (there is no medium in the device)".
func (s Status) Error() string {
	if t, ok := statusText[s]; ok {
		return t[0] + " (" + t[1] + ")"
	}
	return fmt.Sprintf("EFI status %#x (not in the specification)", uintptr(s))
}

// Meaning returns what the status means, in a clause for a person.
func (s Status) Meaning() string {
	if t, ok := statusText[s]; ok {
		return t[1]
	}
	return "the firmware reported an error without a name"
}

// Is tells errors.Is which kind of failure of a medium the status is.
func (s Status) Is(target error) bool {
	switch s {
	case NoMedia, MediaChanged:
		return target == fs.ErrRemoved
	case WriteProtected:
		return target == fs.ErrReadOnly
	case DeviceError, NoResponse, Timeout, CRCError, Aborted, NotReady:
		return target == fs.ErrIO
	}
	return false
}

// Err returns nil for success and for warnings, else the status itself.
func (s Status) Err() error {
	if s&errorBit == 0 {
		return nil
	}
	return s
}

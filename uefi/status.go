package uefi

import "fmt"

// Status is an EFI_STATUS (Appendix D). Errors have the top bit set; warnings and
// success do not. Error statuses are Go errors: they print their name in the
// specification and what it means to a person, and can be compared with errors.Is.
type Status uintptr

const errorBit = 1 << 63

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

// What a status is called in the specification, and what it means in a clause.
var (
	warningText = [...][2]string{
		Success:            {"EFI_SUCCESS", "done"},
		WarnUnknownGlyph:   {"EFI_WARN_UNKNOWN_GLYPH", "some characters could not be shown"},
		WarnDeleteFailure:  {"EFI_WARN_DELETE_FAILURE", "the file was not deleted"},
		WarnWriteFailure:   {"EFI_WARN_WRITE_FAILURE", "the file was not flushed properly"},
		WarnBufferTooSmall: {"EFI_WARN_BUFFER_TOO_SMALL", "the data was cut to the size of the buffer"},
		WarnStaleData:      {"EFI_WARN_STALE_DATA", "the data is out of date"},
		WarnFileSystem:     {"EFI_WARN_FILE_SYSTEM", "the buffer holds a file system"},
		WarnResetRequired:  {"EFI_WARN_RESET_REQUIRED", "a restart is required"},
	}
	errorText = [...][2]string{
		LoadError &^ errorBit:           {"EFI_LOAD_ERROR", "the image could not be loaded"},
		InvalidParameter &^ errorBit:    {"EFI_INVALID_PARAMETER", "the firmware did not accept a parameter"},
		Unsupported &^ errorBit:         {"EFI_UNSUPPORTED", "the firmware does not support this"},
		BadBufferSize &^ errorBit:       {"EFI_BAD_BUFFER_SIZE", "the size is not a whole number of blocks"},
		BufferTooSmall &^ errorBit:      {"EFI_BUFFER_TOO_SMALL", "the buffer is too small"},
		NotReady &^ errorBit:            {"EFI_NOT_READY", "nothing is pending"},
		DeviceError &^ errorBit:         {"EFI_DEVICE_ERROR", "the device reported an error"},
		WriteProtected &^ errorBit:      {"EFI_WRITE_PROTECTED", "the medium is write protected"},
		OutOfResources &^ errorBit:      {"EFI_OUT_OF_RESOURCES", "the firmware has run out of memory or another resource"},
		VolumeCorrupted &^ errorBit:     {"EFI_VOLUME_CORRUPTED", "the file system is damaged"},
		VolumeFull &^ errorBit:          {"EFI_VOLUME_FULL", "the file system is full"},
		NoMedia &^ errorBit:             {"EFI_NO_MEDIA", "there is no medium in the device"},
		MediaChanged &^ errorBit:        {"EFI_MEDIA_CHANGED", "the medium was removed or exchanged"},
		NotFound &^ errorBit:            {"EFI_NOT_FOUND", "not found"},
		AccessDenied &^ errorBit:        {"EFI_ACCESS_DENIED", "access was denied"},
		NoResponse &^ errorBit:          {"EFI_NO_RESPONSE", "there was no answer"},
		NoMapping &^ errorBit:           {"EFI_NO_MAPPING", "no mapping to the device exists"},
		Timeout &^ errorBit:             {"EFI_TIMEOUT", "the time allowed has passed"},
		NotStarted &^ errorBit:          {"EFI_NOT_STARTED", "the device has not been started"},
		AlreadyStarted &^ errorBit:      {"EFI_ALREADY_STARTED", "the device has already been started"},
		Aborted &^ errorBit:             {"EFI_ABORTED", "the operation was aborted"},
		ICMPError &^ errorBit:           {"EFI_ICMP_ERROR", "an ICMP error occurred"},
		TFTPError &^ errorBit:           {"EFI_TFTP_ERROR", "a TFTP error occurred"},
		ProtocolError &^ errorBit:       {"EFI_PROTOCOL_ERROR", "a protocol error occurred"},
		IncompatibleVersion &^ errorBit: {"EFI_INCOMPATIBLE_VERSION", "the versions do not fit together"},
		SecurityViolation &^ errorBit:   {"EFI_SECURITY_VIOLATION", "the security policy forbids it"},
		CRCError &^ errorBit:            {"EFI_CRC_ERROR", "a checksum does not match"},
		EndOfMedia &^ errorBit:          {"EFI_END_OF_MEDIA", "the end of the medium was reached"},
		EndOfFile &^ errorBit:           {"EFI_END_OF_FILE", "the end of the file was reached"},
		InvalidLanguage &^ errorBit:     {"EFI_INVALID_LANGUAGE", "the language is not valid"},
		CompromisedData &^ errorBit:     {"EFI_COMPROMISED_DATA", "the data may have been tampered with"},
		IPAddressConflict &^ errorBit:   {"EFI_IP_ADDRESS_CONFLICT", "the IP address is in use"},
		HTTPError &^ errorBit:           {"EFI_HTTP_ERROR", "an HTTP error occurred"},
	}
)

// text returns the name and the meaning, "" for a status that is not in the specification.
func (s Status) text() (name, meaning string) {
	list, n := warningText[:], s&^errorBit
	if s&errorBit != 0 {
		list = errorText[:]
	}
	if n >= Status(len(list)) {
		return "", ""
	}
	return list[n][0], list[n][1]
}

// Error returns the name and the meaning, e.g.
// "EFI_NO_MEDIA (there is no medium in the device)".
func (s Status) Error() string {
	name, meaning := s.text()
	if name == "" {
		return fmt.Sprintf("EFI status %#x (not in the specification)", uintptr(s))
	}
	return name + " (" + meaning + ")"
}

// Meaning returns what the status means, in a clause for a person.
func (s Status) Meaning() string {
	if _, meaning := s.text(); meaning != "" {
		return meaning
	}
	return "the firmware reported an error without a name"
}

// Err returns nil for success and for warnings, else the status itself.
func (s Status) Err() error {
	if s&errorBit == 0 {
		return nil
	}
	return s
}

// Package authenticode makes and checks PKCS #7 signatures, as Secure Boot knows them: of programs, of
// variables, and of any other file, beside which the signature lies.
//
// The model. A program is a PE image; its Authenticode digest covers all of it but for its
// checksum and the signatures themselves ([Digest]). A signature is a PKCS #7 SignedData
// around that digest, at the end of the file ([Sign], [Signatures]). That of another file is one without
// the file in it ([SignDetached], [VerifyDetached]), which OpenSSL makes and checks as well. Whose signature one is
// is said, and never whether its key is to be trusted.
//
// Specifications: Windows Authenticode Portable Executable Signature Format 1.0; RFC 2315 (PKCS #7); RFC 5280 (X.509).
package authenticode

// Command notation-go signs and verifies envelopes with the Notary Project's own Go libraries: what the notation
// command is made of, without a registry. Trust policy and trust store are read from XDG_CONFIG_HOME.
//
//	notation-go sign MEDIATYPE REQUEST KEY CHAIN            envelope on stdout; key and chain are files in PEM
//	notation-go verify MEDIATYPE DESCRIPTOR REFERENCE FILE  exits with 1 and the reason where it is refused
package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	_ "github.com/notaryproject/notation-core-go/signature/cose"
	_ "github.com/notaryproject/notation-core-go/signature/jws"
	corex509 "github.com/notaryproject/notation-core-go/x509"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 6 && os.Args[1] == "sign":
		err = sign(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	case len(os.Args) == 6 && os.Args[1] == "verify":
		err = verify(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	default:
		err = errors.New("usage: sign MEDIATYPE REQUEST KEY CHAIN | verify MEDIATYPE DESCRIPTOR REFERENCE FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type request struct {
	Scheme      string
	SigningTime time.Time
	Expiry      time.Time
	Payload     json.RawMessage
}

func sign(mediaType, requestJSON, keyFile, chainFile string) error {
	var asked request
	if err := json.Unmarshal([]byte(requestJSON), &asked); err != nil {
		return err
	}
	key, err := corex509.ReadPrivateKeyFile(keyFile)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(chainFile)
	if err != nil {
		return err
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		chain = append(chain, certificate)
	}
	signer, err := signature.NewLocalSigner(chain, key)
	if err != nil {
		return err
	}
	envelope, err := signature.NewEnvelope(mediaType)
	if err != nil {
		return err
	}
	signed, err := envelope.Sign(&signature.SignRequest{
		Payload:       signature.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: asked.Payload},
		Signer:        signer,
		SigningTime:   asked.SigningTime,
		Expiry:        asked.Expiry,
		SigningScheme: signature.SigningScheme(asked.Scheme),
		SigningAgent:  "regsync-tests",
	})
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(signed)
	return err
}

func verify(mediaType, descriptorJSON, reference, envelopeFile string) error {
	var descriptor ocispec.Descriptor
	if err := json.Unmarshal([]byte(descriptorJSON), &descriptor); err != nil {
		return err
	}
	envelope, err := os.ReadFile(envelopeFile)
	if err != nil {
		return err
	}
	verifying, err := verifier.NewFromConfig()
	if err != nil {
		return err
	}
	_, err = verifying.Verify(context.Background(), descriptor, envelope, notation.VerifierVerifyOptions{
		ArtifactReference:  reference,
		SignatureMediaType: mediaType,
	})
	return err
}

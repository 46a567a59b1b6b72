package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

// secrets are made on the first start and kept, 0600, below the state folder.
// The programs get theirs through Nomad Variables, never from these files.
type secrets struct {
	ConsulManagementToken  string `json:"consul_management_token"`
	ConsulAgentToken       string `json:"consul_agent_token"`
	ConsulNomadToken       string `json:"consul_nomad_token"`
	ConsulGatewayToken     string `json:"consul_gateway_token"`
	ConsulProvisionerToken string `json:"consul_provisioner_token"`
	NomadManagementToken   string `json:"nomad_management_token"`
	NomadProvisionerToken  string `json:"nomad_provisioner_token"` // given by Nomad, not made here
	NomadGatewayToken      string `json:"nomad_gateway_token"`     // likewise
	PostgresPassword       string `json:"postgres_password"`
	GatewayPassword        string `json:"gateway_password"`
	ProvisionerPassword    string `json:"provisioner_password"`
	PlatformKey            string `json:"platform_key"`
	AdminPassword          string `json:"admin_password"`
	Certificate            string `json:"certificate"`
	CertificateKey         string `json:"certificate_key"`
}

func (c *Config) secretsFile() string { return c.path("secrets.json") }

// loadSecrets reads the secrets and makes those that are missing.
func (c *Config) loadSecrets() (*secrets, error) {
	s := new(secrets)
	b, err := os.ReadFile(c.secretsFile())
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(b, s); err != nil {
			return nil, advise(fmt.Errorf("%s: %w", c.secretsFile(), err), "", "restore the file from a backup, or start anew with `make destroy`")
		}
	}
	for _, token := range []*string{&s.ConsulManagementToken, &s.ConsulAgentToken, &s.ConsulNomadToken,
		&s.ConsulGatewayToken, &s.ConsulProvisionerToken, &s.NomadManagementToken} {
		if *token == "" {
			*token = uuid.NewString()
		}
	}
	for _, password := range []*string{&s.PostgresPassword, &s.GatewayPassword, &s.ProvisionerPassword, &s.AdminPassword} {
		if *password == "" {
			*password = rand.Text()
		}
	}
	if s.PlatformKey == "" {
		key := make([]byte, platform.MinPlatformKeyBytes)
		rand.Read(key)
		s.PlatformKey = base64.StdEncoding.EncodeToString(key)
	}
	if s.Certificate == "" {
		if s.Certificate, s.CertificateKey, err = selfSigned(); err != nil {
			return nil, err
		}
	}
	return s, c.saveSecrets(s)
}

// saveSecrets replaces the file as a whole: a run that is cut off leaves the
// old or the new one.
func (c *Config) saveSecrets(s *secrets) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.secretsFile()), ".secrets-*") // made 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.secretsFile())
}

// selfSigned makes a certificate for this machine's loopback names.
func selfSigned() (certificate, key string, err error) {
	const validity = 2 * 365 * 24 * time.Hour
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost", Organization: []string{"Self-signed, for this machine only"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(validity),
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), nil
}

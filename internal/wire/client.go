package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"consilium/internal/analysis"
)

// ClientOptions tunes a client; the zero value is right for one encoder in the same network.
type ClientOptions struct {
	// Timeout bounds one call to the model, 0 for 60 seconds.
	Timeout time.Duration
	// Transport is what clients of several models may share, nil for a pool of the client's own.
	Transport http.RoundTripper
}

const headerLengthField = "Inference-Header-Content-Length"

// errSlow is the cause of the end of a call's context when the client's own timeout passed.
var errSlow = errors.New("the timeout of the call passed")

// NewTransport returns a pool of connections for many concurrent calls to a few servers.
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second, // shorter than the server's, so that ours is the side that hangs up
		TLSHandshakeTimeout:    5 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
		DisableCompression:     true, // embeddings do not compress; trying costs more than sending
	}
}

// client calls one model.
type client struct {
	*contract
	base    string
	http    http.Client
	timeout time.Duration

	mu     sync.Mutex
	digest string // "" until known, and again after a failure
}

func newClient(c *contract, baseURL string, options ClientOptions) (*client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("address of the %s: want http://host:port, found %q", c.part, baseURL)
	}
	if options.Timeout == 0 {
		options.Timeout = time.Minute
	}
	if options.Transport == nil {
		options.Transport = NewTransport()
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{
		contract: c, base: strings.TrimSuffix(baseURL, "/") + "/v2/models/" + c.model,
		http: http.Client{Transport: options.Transport, CheckRedirect: noRedirect}, timeout: options.Timeout,
	}, nil
}

// Digest returns the digest of the weights that the model runs with. It asks once and remembers the answer until
// an answer carries another digest or a call fails.
func (c *client) Digest(ctx context.Context) (string, error) {
	c.mu.Lock()
	digest := c.digest
	c.mu.Unlock()
	if digest != "" {
		return digest, nil
	}
	body, _, err := c.do(ctx, http.MethodGet, "", nil)
	if err != nil {
		return "", err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return "", c.broken(fmt.Errorf("parse the metadata: %w", err))
	}
	if m.Name != c.model || len(m.Versions) == 0 {
		return "", c.broken(fmt.Errorf("metadata of model %q with %d versions, want model %q with at least 1", clip(m.Name), len(m.Versions), c.model))
	}
	digest = m.Versions[len(m.Versions)-1]
	if err := checkDigest(digest); err != nil {
		return "", c.broken(err)
	}
	c.remember(digest)
	return digest, nil
}

// Calibration asks for that of the model; nil if it computes in float32.
func (c *client) Calibration(ctx context.Context) (*analysis.Calibration, error) {
	body, _, err := c.do(ctx, http.MethodGet, "", nil, nil)
	if err != nil {
		return nil, err
	}
	var m struct {
		Parameters struct {
			Calibration *analysis.Calibration `json:"calibration"`
		} `json:"parameters"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, c.broken(fmt.Errorf("parse the metadata: %w", err))
	}
	if found := m.Parameters.Calibration; found != nil {
		if err := found.Check(); err != nil {
			return nil, c.broken(err)
		}
	}
	return m.Parameters.Calibration, nil
}

// Ready returns nil if the model has just proven that it can infer, else an Unavailable error or what kept it
// from answering.
func (c *client) Ready(ctx context.Context) error {
	_, _, err := c.do(ctx, http.MethodGet, "/ready", nil)
	return err
}

func (c *client) remember(digest string) {
	c.mu.Lock()
	c.digest = digest
	c.mu.Unlock()
}

// checkDigest keeps what a peer calls its version fit for keys and columns.
func checkDigest(digest string) error {
	if digest == "" || len(digest) > 128 || strings.ContainsFunc(digest, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("the model version %q is not 1 to 128 printable characters", clip(digest))
	}
	return nil
}

// infer sends inputs and returns the outputs with the digest of the model that made them.
func (c *client) infer(ctx context.Context, p parameters, inputs []Tensor) (outputs []Tensor, digest string, err error) {
	outputs, digest, err = c.tryInfer(ctx, p, inputs)
	switch analysis.CodeOf(err) {
	case "":
		c.remember(digest)
	case analysis.Unavailable, analysis.BadUpstream, analysis.Internal:
		c.remember("") // whatever comes up in its place may hold other weights
	}
	return outputs, digest, err
}

func (c *client) tryInfer(ctx context.Context, p parameters, inputs []Tensor) ([]Tensor, string, error) {
	asBinary := func(string) bool { return true }
	headers, err := headersOf(inputs, asBinary)
	if err != nil {
		return nil, "", err
	}
	all := parameters{"binary_data_output": true}
	for name, value := range p {
		all[name] = value
	}
	if analysis.Bulk(ctx) {
		all[priorityParameter] = bulkPriority
	}
	parts, headerLength, err := assemble(&message{Parameters: all, Inputs: headers}, inputs, asBinary)
	if err != nil {
		return nil, "", err
	}
	if size := sizeOf(parts); int64(size) > c.maxRequestBytes {
		return nil, "", &analysis.Error{
			Code: analysis.TooLarge, Field: string(c.modality), Message: "is too large for the " + c.part,
			Limit: fmt.Sprintf("%d bytes", c.maxRequestBytes), Value: fmt.Sprintf("%d bytes", size),
		}
	}
	requestHeader := http.Header{
		"Content-Type":    {"application/octet-stream"},
		headerLengthField: {strconv.Itoa(headerLength)},
		"Idempotency-Key": {}, // not sent; lets the transport repeat the call on a fresh connection when an idle one had died
	}
	answer, header, err := c.do(ctx, http.MethodPost, "/infer", requestHeader, parts...)
	if err != nil {
		return nil, "", err
	}
	outputs, digest, err := c.readAnswer(answer, header)
	if err != nil {
		return nil, "", c.broken(err)
	}
	return outputs, digest, nil
}

func (c *client) readAnswer(body []byte, header http.Header) ([]Tensor, string, error) {
	length, err := headerLengthOf(header)
	if err != nil {
		return nil, "", err
	}
	m, data, err := parse(body, length)
	if err != nil {
		return nil, "", err
	}
	if m.Model != c.model {
		return nil, "", fmt.Errorf("the answer is of model %q, want %q", clip(m.Model), c.model)
	}
	if err := checkDigest(m.Version); err != nil {
		return nil, "", err
	}
	outputs, err := decode(m.Outputs, data, c.outputs, c.maxRows)
	return outputs, m.Version, err
}

// headerLengthOf returns the length of the JSON in front of binary data, -1 if there is no binary data.
func headerLengthOf(header http.Header) (int, error) {
	text := header.Get(headerLengthField)
	if text == "" {
		return -1, nil
	}
	length, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: want a number of bytes, found %q", headerLengthField, clip(text))
	}
	return int(length), nil
}

// do makes one HTTP call and returns the body of a 200 answer. Any other answer is the error that it stands for.
func (c *client) do(ctx context.Context, method, path string, header http.Header, body ...[]byte) ([]byte, http.Header, error) {
	again := func() (io.ReadCloser, error) {
		parts := net.Buffers(slices.Clone(body))
		return io.NopCloser(&parts), nil
	}
	parts := net.Buffers(slices.Clone(body))
	return c.send(ctx, method, path, header, &parts, int64(sizeOf(body)), again)
}

// send is do with a body of that many bytes that is read as it is sent. again, if not nil, returns it anew.
func (c *client) send(ctx context.Context, method, path string, header http.Header, body io.Reader, length int64, again func() (io.ReadCloser, error)) ([]byte, http.Header, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.timeout, errSlow)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, method, c.base+path, body)
	if err != nil {
		return nil, nil, fmt.Errorf("call the %s: %w", c.part, err)
	}
	request.ContentLength, request.GetBody = length, again
	if length == 0 {
		request.Body = http.NoBody
	}
	for name, values := range header {
		request.Header[name] = values
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(request.Header))
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, c.interrupted(limited, err, analysis.Unavailable, "the "+c.part+" is not reachable")
	}
	defer response.Body.Close()
	most := int64(maxResponseBytes)
	if response.StatusCode != http.StatusOK {
		most = maxFaultBytes
	}
	if response.ContentLength > most {
		return nil, nil, c.broken(fmt.Errorf("the answer has %d bytes, more than %d", response.ContentLength, most))
	}
	answer, err := readBody(response.Body, response.ContentLength, most)
	if err != nil {
		return nil, nil, c.interrupted(limited, err, analysis.BadUpstream, "the "+c.part+" broke off its answer")
	}
	if int64(len(answer)) > most {
		return nil, nil, c.broken(fmt.Errorf("the answer has more than %d bytes", most))
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, readFault(response.StatusCode, response.Header, answer, c.part)
	}
	return answer, response.Header, nil
}

// interrupted explains a call that did not come to its end: the caller's context ended, ours did, or the
// connection failed.
func (c *client) interrupted(ctx context.Context, err error, code analysis.Code, message string) error {
	switch {
	case ctx.Err() == nil:
		return &analysis.Error{Code: code, Message: message, Err: err}
	case errors.Is(context.Cause(ctx), errSlow):
		return &analysis.Error{Code: analysis.Unavailable, Message: fmt.Sprintf("the %s did not answer within %s", c.part, c.timeout), Err: err}
	}
	return &analysis.Error{Code: analysis.Canceled, Message: "the call to the " + c.part + " was canceled", Err: context.Cause(ctx)}
}

// broken is an error about an answer that breaks the contract.
func (c *client) broken(err error) error {
	return &analysis.Error{Code: analysis.BadUpstream, Message: "the " + c.part + " sent an answer that cannot be used", Err: err}
}

// readBody reads at most most + 1 bytes. declared, the length that the peer announced (-1 if it did not), only
// hints at the size of the buffer.
func readBody(from io.Reader, declared, most int64) ([]byte, error) {
	const firstBytes = 1 << 20
	var buffer bytes.Buffer
	buffer.Grow(int(max(512, min(declared+bytes.MinRead, firstBytes))))
	_, err := buffer.ReadFrom(io.LimitReader(from, most+1))
	return buffer.Bytes(), err
}

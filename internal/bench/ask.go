package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"consilium/gateway/client"
)

// asker puts one question again and again over one connection. It writes what it wrote before and reads the answer without
// looking into it, so that hardly anything but the platform is timed.
type asker struct {
	connection net.Conn
	answers    *bufio.Reader
	request    []byte
}

// askTimeout bounds all questions of one asker.
const askTimeout = time.Minute

// newAsker connects to the platform at base.
func newAsker(ctx context.Context, base, study, question string) (*asker, error) {
	address, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(client.QuestionRequest{Question: question})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/studies/"+study+"/questions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	var written bytes.Buffer
	if err := request.Write(&written); err != nil {
		return nil, err
	}
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return nil, fmt.Errorf("reach the platform: %w", err)
	}
	if err := connection.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return nil, err
	}
	return &asker{connection, bufio.NewReader(connection), written.Bytes()}, nil
}

// ask asks and reads the whole answer.
func (a *asker) ask() error {
	if _, err := a.connection.Write(a.request); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	response, err := http.ReadResponse(a.answers, nil)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, err := io.ReadAll(response.Body)
		return fmt.Errorf("ask: the platform answered %.300q (%w)", said, err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Close ends the connection.
func (a *asker) Close() error { return a.connection.Close() }

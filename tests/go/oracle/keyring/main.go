// Command keyring says which credentials the kubelet would try for an image.
//
// It reads one case a line and writes it again with the answer:
//
//	{"secrets": [{"type": …, "text": … or "data": base64}], "repository": …}
//	+ "error": … or "credentials": [[username, password], …]
//
// "type" is j (kubernetes.io/dockerconfigjson), c (kubernetes.io/dockercfg) or o
// (Opaque with both data keys). A username or password that is not UTF-8 makes its
// pair {"hex": [username, password]}. With -generate it makes the cases itself.
package main

import (
	"encoding/hex"
	"flag"
	"fmt"
	"unicode/utf8"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"pullpass.dev/tests/go/oracle"
)

type secret struct {
	Type string `json:"type"`
	Text string `json:"text,omitempty"`
	Data []byte `json:"data,omitempty"`
}

type keyringCase struct {
	Secrets     []secret `json:"secrets"`
	Repository  string   `json:"repository"`
	Error       string   `json:"error,omitempty"`
	Credentials []any    `json:"credentials,omitempty"`
}

func main() {
	repeat := flag.Int("repeat", 1, "how often to ask; the first of the answers in order is written")
	// The keyring logs every key that it drops.
	klog.SetLogger(klog.Logger{})

	oracle.Oracle[keyringCase, keyringCase]{
		Name:   "keyring",
		Count:  6000,
		Stream: 1,
		Fixed:  table,
		Random: mixture,
		Answer: func(one keyringCase) keyringCase { return first(one, *repeat) },
	}.Main()
}

// first asks more than once, because of a secret's keys that come to the same the
// kubelet takes now this one first and now that one, as Go ranges over its map. The
// answer that sorts first makes golden files that do not change by themselves.
func first(one keyringCase, repeat int) keyringCase {
	one.answer()
	best := fmt.Sprint(one.Credentials)
	for range repeat - 1 {
		again := one
		again.answer()
		if text := fmt.Sprint(again.Credentials); text < best {
			one, best = again, text
		}
	}
	return one
}

func (one *keyringCase) answer() {
	list := make([]v1.Secret, len(one.Secrets))
	for i, secret := range one.Secrets {
		list[i] = secret.object()
	}
	one.Error, one.Credentials = "", nil
	keyring, err := secrets.MakeDockerKeyring(list, &credentialprovider.BasicDockerKeyring{})
	if err != nil {
		one.Error = err.Error()
		return
	}
	found, _ := keyring.Lookup(one.Repository)
	for _, credential := range found {
		one.Credentials = append(one.Credentials, pair(credential.Username, credential.Password))
	}
}

func (from secret) object() v1.Secret {
	payload := from.payload()
	switch from.Type {
	case "j":
		return v1.Secret{Type: v1.SecretTypeDockerConfigJson, Data: map[string][]byte{v1.DockerConfigJsonKey: payload}}
	case "c":
		return v1.Secret{Type: v1.SecretTypeDockercfg, Data: map[string][]byte{v1.DockerConfigKey: payload}}
	default:
		return v1.Secret{Type: v1.SecretTypeOpaque, Data: map[string][]byte{
			v1.DockerConfigJsonKey: payload, v1.DockerConfigKey: payload,
		}}
	}
}

func pair(username, password string) any {
	if utf8.ValidString(username) && utf8.ValidString(password) {
		return []string{username, password}
	}
	return map[string][]string{"hex": {hex.EncodeToString([]byte(username)), hex.EncodeToString([]byte(password))}}
}

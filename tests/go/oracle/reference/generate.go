package main

import (
	"math/rand/v2"
	"strings"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Parts from which references are put together, good and bad ones.
var (
	hosts = []string{
		"", "", "", "docker.io", "index.docker.io", "registry-1.docker.io", "DOCKER.IO", "Docker.io",
		"docker.io:443", "index.docker.io:443", "localhost", "LOCALHOST", "localhost:5000", "Localhost",
		"localhost.", "reg.example.com", "REG.example.com", "reg.example.com:443", "reg.example.com:0443",
		"reg.example.com:99999", "reg.example.com:", "reg.example.com:abc", "reg.example.com:5000:5000",
		"reg.example.com.", ".reg.example.com", "reg..example.com", "-reg.example.com", "reg-.example.com",
		"reg.-example.com", "r--g.example.com", "reg_ex.com", "reg__ex.com", "reg___ex.com", "_reg.com",
		"reg.com_", "Reg_ex.com", "reg_ex.com:5000", "reg_ex", "REG_EX", "reg_ex.a-b.c_d", "myhost",
		"MyHost", "myHost", "M", "m", "myhost:5000", "MYHOST:5000", "10.0.0.1", "10.0.0.1:5000", "0x7f.1",
		"1.2", "[::1]", "[::1]:5000", "[::1]:", "[::1]:x", "[::1", "::1]", "::1", "[]", "[]:5000", "[abc]",
		"[ABC]", "[abC]:1", "[:]", "[2001:db8::1]:443", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::ffff:1.2.3.4]",
		"[::1]a", "a[::1]", "[[::1]]", "[::1][::2]", "xn--exmple-cua.com", "reg.exämple.com", "ÄREG", "äreg",
		"reg.exa mple.com", " reg.example.com", "reg.example.com ", "user@reg.example.com",
		"user:pw@reg.example.com", "https://reg.example.com", "http:", "https:", "docker:", "oci://reg.example.com",
		"a.b.c.d.e.f.g", "k8s.gcr.io", "kube-registry.cdn", "registry.cn-hangzhou.aliyuncs.com",
		"docker.io.", "docker.io-", "docker_io", "docker.io_", "a.b_c.d", "1_2.3", "a._b", "a_.b", "a-.b", "a.-b",
		"reg.example.com%3A5000", "reg\\.example.com", "*.example.com", "reg.example.com?x", "reg.example.com#x",
		"{{registry}}", "$REGISTRY", "${REGISTRY}", "<registry>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com",
	}
	segments = []string{
		"app", "app", "team", "library", "nginx", "a", "0", "a.b", "a_b", "a__b", "a___b", "a-b", "a--b", "a---b",
		"a..b", "a._b", "a_.b", "a.-b", "a-.b", "a-_b", "a_-b", ".a", "a.", "_a", "a_", "-a", "a-", "", ".", "..", "-",
		"_", "__", "A", "aA", "Team", "APP", "b.c:5000", "localhost", "docker.io", "index.docker.io", "a b", " a", "a ",
		"ä", "a+b", "a~b", "a%20b", "a\\b", "a*b", "a,b", "moj-obraz", "rbd-rest-api", "zyxist", "1.0", "v1", "v2",
		"{{app}}", "$APP", "a:b", "a@b", "\t", "\n", "\x00", "\u200b", "\u202e", "ſ", "K", "İ", "ı", "١", "0x", hex64, hex64[1:],
	}
	tags = []string{
		"", "", "", "", ":", ":latest", ":v1", ":1.0", ":V1.0-RC_1", ":_x", ":-x", ":.x", ":x-", ":x.", ":a..b", ":a--b",
		":5000", ":a:b", ":a/b", ":ä", ":a b", ": a", ":a ", ":a\n", ":" + hex64, ":$TAG", ":{{tag}}", ":a+b", ":a~b",
		":_", ":0", "::", "::a", ":A", ":sha256", ":K", ":ſ",
	}
	digests = []string{
		"", "", "", "", "", "", "@", "@sha256:" + hex64, "@sha256:" + hex64[1:], "@sha256:" + hex64 + "0",
		"@sha384:" + hex64 + hex64[:32], "@sha512:" + hex64 + hex64, "@sha512:" + hex64, "@sha384:" + hex64,
		"@sha256:" + strings.ToUpper(hex64), "@SHA256:" + hex64, "@Sha256:" + hex64, "@md5:" + hex64[:32], "@sha1:" + hex64[:40],
		"@sha256:", "@sha256", "@:" + hex64, "@" + hex64, "@sha256:" + hex64[:63] + "g", "@sha256:" + hex64[:31],
		"@sha256:" + hex64[:32], "@sha256+b64:" + hex64, "@sha256.x:" + hex64, "@a-b_c+d.e:" + hex64, "@sha256:" + hex64 + "@sha256:" + hex64,
		"@blake3:" + hex64, "@sha224:" + hex64[:56], "@sha256:" + hex64 + " ", "@sha256:" + hex64 + "\n", " @sha256:" + hex64,
		"@sha256:" + hex64 + "/a", "@sha256:" + hex64 + ":a", "@1sha256:" + hex64, "@sha512/256:" + hex64, "@sha256::" + hex64,
	}
	// The good ones again: with one bad part in three, next to nothing would be valid.
	goodHosts = []string{
		"", "docker.io", "index.docker.io", "localhost", "LOCALHOST:5000", "reg.example.com", "reg.example.com:5000", "MyHost",
		"reg_ex.com", "my_reg.a-b.io", "[2001:db8::1]", "[::1]:5000", "10.0.0.1:5000", "Reg-1.example.com", "r--g.io:0443",
	}
	goodSegments = segments[:14]
	goodTags     = []string{":latest", ":v1", ":1.0", ":V1.0-RC_1", ":_x", ":x-", ":x.", ":a..b", ":5000", ":" + hex64, ":A"}
	goodDigests  = []string{"@sha256:" + hex64, "@sha384:" + hex64 + hex64[:32], "@sha512:" + hex64 + hex64}
	// What a mutation puts in.
	letters = strings.Split("a b z 0 9 A Z f g . . - - _ _ : : / / / @ @ [ ] % ? # * + ~ $ { } < > \\ ' \" , ; = & ! ( ) |", " ")
	exotic  = []string{" ", "\t", "\n", "\r", "\x00", "\x7f", "ä", "Ä", "ß", "İ", "K", "ſ", "\u00a0", "\u200b", "\u202e", "\ufeff", "\ufffd", "日", "𝐚", "１"}
)

// Written by hand: what people really write, and the edges of every length.
func corpus() []string {
	list := []string{
		"", " ", "/", "//", ":", "@", ".", "-", "_", "nginx", "nginx:latest", "nginx\n", "docker.io", "docker.io/", "/nginx",
		"nginx/", "host:5000", "example.com", "example.com:8080", "sha256:" + hex64, hex64, hex64[1:], hex64 + "0",
		strings.ToUpper(hex64), "library/" + hex64, hex64 + ":v1", hex64 + "@sha256:" + hex64, "docker.io/" + hex64,
		"localhost:5000/zyxist/moj-obraz", "kube-registry.cdn/kube-test/myweb:1.0", "k8s.gcr.io/busybox",
		"registry.cn-hangzhou.aliyuncs.com/xxxx/rbd-rest-api", "registry.cn-hangzhou.aliyuncs.com/xxxx/test",
		"https://registry.example.com/app", "http://registry.example.com/app:1", "docker://nginx", "oci://reg.io/app",
		"registry.example.com/app:1.0@sha256:" + hex64, "app:v1@sha256:" + hex64, "a/b.c:5000/d", "[fe80::1%25eth0]/app",
		"registry.example.com//app", "registry.example.com/app//x", "registry.example.com/app/", "${IMAGE}", "{{ .Values.image }}",
		"repo/app:{{ .Values.tag }}", "<none>", "<none>:<none>", "nginx:", "nginx@", "nginx:@sha256:" + hex64, "nginx@sha256:" + hex64 + ":v1",
		"docker.io/library", "docker.io/library/", "docker.io/library/nginx", "docker.io/docker.io/nginx", "index.docker.io/library/nginx",
		"index.docker.io", "index.docker.io/nginx", "index.docker.io:443/nginx", "registry.hub.docker.com/library/nginx",
		"quay.io/coreos/etcd:v3.5.0", "ghcr.io/a/b/c/d/e/f:latest", "gcr.io/google_containers/pause:3.1",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app:1", "myreg.azurecr.io/app", "europe-west1-docker.pkg.dev/p/r/app",
	}
	for length := 244; length <= 258; length++ {
		list = append(list,
			strings.Repeat("a", length),
			"docker.io/"+strings.Repeat("a", length),
			"index.docker.io/"+strings.Repeat("a", length),
			"reg.io/"+strings.Repeat("a", length),
			"reg_ex.io/"+strings.Repeat("a", length),
			"reg.io/"+strings.Repeat("a/", length/2)+strings.Repeat("a", length%2+1),
			"team/"+strings.Repeat("b", length-5)+":v1",
			"localhost/"+strings.Repeat("c", length)+"@sha256:"+hex64)
	}
	for length := 126; length <= 130; length++ {
		list = append(list, "app:"+strings.Repeat("t", length), "reg.io/app:"+strings.Repeat(".", length),
			"app:"+strings.Repeat("t", length)+"@sha256:"+hex64)
	}
	list = append(list, strings.Repeat("a", 300)+".example.com/app", "reg.example.com:"+strings.Repeat("9", 300)+"/app",
		strings.Repeat("a.", 200)+"com/app", strings.Repeat("a/", 200)+"b", strings.Repeat("-", 300), strings.Repeat("/", 300),
		"a"+strings.Repeat("-", 240)+"b", "a"+strings.Repeat("_", 240)+"b")
	for _, host := range hosts {
		list = append(list, host, host+"/app", host+"/team/app:v1")
	}
	for _, segment := range segments {
		list = append(list, segment, "reg.io/"+segment, segment+"/app", "reg.io/a/"+segment+"/b")
	}
	for _, tag := range tags {
		list = append(list, "app"+tag, "reg.io:5000/app"+tag)
	}
	for _, digest := range digests {
		list = append(list, "app"+digest, "reg.io/app"+digest, "app:v1"+digest)
	}
	return list
}

// random returns a reference with up to two mistakes.
func random(random *rand.Rand) string {
	input := assemble(random)
	for edits := random.IntN(6) - 3; edits > 0; edits-- {
		input = mutate(random, input)
	}
	return strings.ToValidUTF8(input, "\ufffd")
}

func assemble(random *rand.Rand) string {
	if random.IntN(8) == 0 {
		return scribble(random)
	}
	var parts []string
	if host := mostly(random, goodHosts, hosts); host != "" {
		parts = append(parts, host)
	}
	for count := 1 + random.IntN(3); count > 0; count-- {
		switch random.IntN(4) {
		case 0:
			parts = append(parts, mostly(random, goodSegments, segments))
		case 1:
			parts = append(parts, word(random))
		default:
			parts = append(parts, pick(random, goodSegments))
		}
	}
	input := strings.Join(parts, "/")
	if random.IntN(3) == 0 {
		input += mostly(random, goodTags, tags)
	}
	if random.IntN(4) == 0 {
		input += mostly(random, goodDigests, digests)
	}
	return input
}

// word makes letters and digits with separators between them, good and bad.
func word(random *rand.Rand) string {
	var text strings.Builder
	for count := 1 + random.IntN(4); count > 0; count-- {
		for letters := 1 + random.IntN(3); letters > 0; letters-- {
			text.WriteByte("abcxyz0189"[random.IntN(10)])
		}
		if count > 1 {
			text.WriteString(mostly(random, []string{".", "_", "__", "-", "--", "---"}, []string{"___", "._", "-.", "..", "_-"}))
		}
	}
	return text.String()
}

func scribble(random *rand.Rand) string {
	var text strings.Builder
	for count := random.IntN(24); count > 0; count-- {
		text.WriteString(pick(random, letters))
	}
	return text.String()
}

func mutate(random *rand.Rand, input string) string {
	if input == "" {
		return pick(random, letters)
	}
	at := random.IntN(len(input))
	switch random.IntN(9) {
	case 0: // lose a byte
		return input[:at] + input[at+1:]
	case 1: // double one
		return input[:at] + input[at:at+1] + input[at:]
	case 2, 3: // put something in
		return input[:at] + pick(random, letters) + input[at:]
	case 4: // put something odd in
		return input[:at] + pick(random, exotic) + input[at:]
	case 5: // turn one letter's case
		letter := input[at]
		if 'a' <= letter|0x20 && letter|0x20 <= 'z' {
			letter ^= 0x20
		}
		return input[:at] + string(rune(letter)) + input[at+1:]
	case 6: // cut off
		return input[:at]
	case 7: // put the end of another one there
		other := assemble(random)
		return input[:at] + other[random.IntN(len(other)+1):]
	default: // write over one
		return input[:at] + pick(random, letters) + input[at+1:]
	}
}

func pick(random *rand.Rand, list []string) string { return list[random.IntN(len(list))] }

// mostly picks from the good ones five times in six.
func mostly(random *rand.Rand, good, all []string) string {
	if random.IntN(6) == 0 {
		return pick(random, all)
	}
	return pick(random, good)
}

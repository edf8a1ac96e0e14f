// What was dropped or chosen -> files with their paths: Explorer.dropped(DataTransfer) and Explorer.chosen(FileList), each
// -> Promise of [{name: "pets/cats/1.jpg", file}…]. Hidden files stay where they are.
Explorer.dropped = async transfer => {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);   // before anything waits
  const found = [];

  const fileOf = entry => new Promise((take, fail) => entry.file(take, fail));
  // A reader hands out a folder in pieces, until one is empty.
  async function inside(folder) {
    const reader = folder.createReader(), all = [];
    for (;;) {
      const piece = await new Promise((take, fail) => reader.readEntries(take, fail));
      if (!piece.length) return all;
      all.push(...piece);
    }
  }
  async function walk(entry) {
    if (entry.name.startsWith('.')) return;
    if (entry.isFile) found.push({ name: entry.fullPath.replace(/^\//, ''), file: await fileOf(entry) });
    else for (const inner of await inside(entry)) await walk(inner);
  }

  for (const entry of entries) await walk(entry);
  return found;
};

Explorer.chosen = files => [...files]
  .map(file => ({ name: file.webkitRelativePath || file.name, file }))
  .filter(({ name }) => !name.split('/').some(part => part.startsWith('.')));

/** `batchSize` as `batch_size`: how files and messages spell a key. */
export function snakeCase(key: string): string {
  return key.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

// The raw limits of MongoDB, by its driver. Arguments: drain URL COLLECTION, or insert URL COLLECTION COUNT BYTES.
import { MongoClient } from 'mongodb'
import { documentChunks } from './documents.ts'

const [what, url = '', collection = '', count = '0', bytes = ''] = process.argv.slice(2)
/** As many as make a reply of 8 MB; more at once were no faster. */
const BATCH = 20_000

const client = new MongoClient(url)
/** Milliseconds that documents took to be made ready, which is none of the limit's. */
let prepared = 0
if (what === 'drain') {
  const cursor = client.db().collection(collection).find({}, { raw: true, batchSize: BATCH })
  while (await cursor.hasNext()) cursor.readBufferedDocuments()
} else {
  let began = performance.now()
  for (const documents of documentChunks({ count: Number(count), bytes: Number(bytes) })) {
    prepared += performance.now() - began
    await client.db().collection(collection).insertMany(documents, { ordered: false })
    began = performance.now()
  }
}
await client.close()
console.log(JSON.stringify({ preparedSeconds: prepared / 1000 }))

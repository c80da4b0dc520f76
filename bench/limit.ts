// The raw limits: the same bytes moved by the same driver, nothing looked at. Arguments: ROUTE, then its parameters.
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { Client } from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'

const [route, a = '', b = '', table = '', columns = ''] = process.argv.slice(2)

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return client
}

async function databaseToDatabase(source: string, target: string): Promise<void> {
  const [reader, writer] = await Promise.all([connect(source), connect(target)])
  await pipeline(
    reader.query(copyTo(`COPY ${table} TO STDOUT (FORMAT binary)`)),
    writer.query(copyFrom(`COPY ${table} FROM STDIN (FORMAT binary)`)),
  )
  await Promise.all([reader.end(), writer.end()])
}

async function fileToDatabase(file: string, target: string): Promise<void> {
  const writer = await connect(target)
  const rows = createReadStream(file, { highWaterMark: 1 << 18 })
  await pipeline(rows, writer.query(copyFrom(`COPY ${table} FROM STDIN (FORMAT csv, HEADER)`)))
  await writer.end()
}

/** Rows of binary COPY, into a table of its own. */
async function copyToDatabase(file: string, target: string): Promise<void> {
  const writer = await connect(target)
  await writer.query(`CREATE TABLE ${table} (${columns})`)
  const rows = createReadStream(file, { highWaterMark: 1 << 18 })
  await pipeline(rows, writer.query(copyFrom(`COPY ${table} FROM STDIN (FORMAT binary)`)))
  await writer.end()
}

async function databaseToFile(source: string, file: string): Promise<void> {
  const reader = await connect(source)
  const rows = reader.query(copyTo(`COPY ${table} TO STDOUT (FORMAT csv, HEADER)`))
  await pipeline(rows, createWriteStream(file, { highWaterMark: 1 << 18 }))
  await reader.end()
}

if (route === 'pg-pg') await databaseToDatabase(a, b)
else if (route === 'csv-pg') await fileToDatabase(a, b)
else if (route === 'copy-pg') await copyToDatabase(a, b)
else if (route === 'pg-csv') await databaseToFile(a, b)
else throw new Error(`no limit ${route}`)

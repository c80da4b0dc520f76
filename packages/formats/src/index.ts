export { acceptDocuments, encodingOf } from './bson/accept-documents.ts'
export type { DocumentEncoding, DocumentOffer } from './bson/accept-documents.ts'
export { BsonOutput } from './bson/bson-output.ts'
export { documentFields } from './bson/collection-fields.ts'
export type { FieldOptions } from './bson/collection-fields.ts'
export { areLarge, keptPartitions, rangePartitions } from './bson/collection-plan.ts'
export { collectionStream, planSample } from './bson/collection-facts.ts'
export type { CollectionFacts, CollectionSize } from './bson/collection-facts.ts'
export { cutRanges, planCut } from './bson/cut-plan.ts'
export { documentOptions } from './bson/document-options.ts'
export type { DocumentOptions } from './bson/document-options.ts'
export { documentQuery, replyRows } from './bson/document-query.ts'
export { fromGreatest, idType } from './bson/id-ranges.ts'
export type { IdRange } from './bson/id-ranges.ts'
export { DocumentEncoder } from './bson/document-encoder.ts'
export type { DocumentEncoderOptions, EncodedDocuments } from './bson/document-encoder.ts'
export type { DocumentField } from './bson/document-plan.ts'
export { parseExtendedJson } from './bson/extended-json-parser.ts'
export { BSON_WIRE, DocumentBatches } from './bson/document-batches.ts'
export type { DocumentBatchOptions, ReadDocuments } from './bson/document-batches.ts'
export {
  arrayReply,
  batchEnd,
  copyDocuments,
  freeReply,
  joinedReply,
  replyDocument,
  replyDocuments,
} from './bson/document-reply.ts'
export type { DocumentReply } from './bson/document-reply.ts'
export type { ExtendedJsonStyle } from './bson/extended-json-writer.ts'
export { FieldSampler } from './bson/field-sampler.ts'
export type { SampledField } from './bson/field-sampler.ts'
export { nestingOptions } from './bson/nesting.ts'
export type { Nesting } from './bson/nesting.ts'
export { extendedJson, idAlias, idDocument, idText } from './bson/extended-json.ts'
export { aliasCode, DOCUMENT, OVERFLOW } from './bson/field-types.ts'
export type { BsonValue } from './bson/extended-json.ts'
export { joinDocuments, keepDocuments, removeDocuments, replaceDocuments } from './bson/document-sections.ts'
export type { DocumentSection, SectionLimits } from './bson/document-sections.ts'
export { SectionEncoder } from './bson/section-encoder.ts'
export { documentType } from './bson/document-types.ts'
export { BINARY_WIRE, copyData, FRAME_HEAD, frameCopyData, TEXT_WIRE } from './copy/frame.ts'
export type { Output, RowEncoder } from './copy/frame.ts'
export { BINARY_HEADER, CopyFramer } from './copy/framer.ts'
export type { FramerOptions } from './copy/framer.ts'
export { LineEncoder } from './copy/line-encoder.ts'
export { RowSender } from './copy/row-sender.ts'
export { TupleBatches } from './copy/tuple-batches.ts'
export type { CopiedRows } from './copy/tuple-batches.ts'
export { TupleEncoder } from './copy/tuple-encoder.ts'
export type { EncodedField } from './copy/tuple-fields.ts'
export { TuplePatcher } from './copy/tuple-patcher.ts'
export { csvFormat } from './csv/format.ts'
export { csvOptions } from './csv/options.ts'
export type { CsvOptions } from './csv/options.ts'
export type {
  Format,
  FormatBatch,
  FormatInference,
  FormatReader,
  FormatWriter,
  Preamble,
  ReaderOptions,
  RowFault,
  Splitter,
} from './format.ts'

export { fromArrow } from './from-arrow.ts'
export { toArrow, toArrowIPC } from './to-arrow.ts'

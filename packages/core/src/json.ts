/** What travels between threads, machines and versions. 64-bit numbers travel as text. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

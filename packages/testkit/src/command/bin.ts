#!/usr/bin/env node
import { certifyCommand } from './certify-command.ts'

process.exitCode = await certifyCommand(process.argv.slice(2))

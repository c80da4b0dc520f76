import type { DestinationDriver } from '@nebula/core'
import type { Endpoint } from '@nebula/runtime'

/** The same object, but for the methods that are given; what it does not have it still has not. */
function delegate<Target extends object>(target: Target, changes: Partial<Target>): Target {
  return new Proxy(target, {
    get(object, name) {
      const own: unknown = Reflect.get(object, name)
      const changed = own === undefined ? undefined : (changes as Record<PropertyKey, unknown>)[name]
      if (changed !== undefined) return changed
      return typeof own === 'function' ? own.bind(object) : own
    },
  })
}

/** An end with methods in place of those of its destination drivers. */
export function withDestination(
  { connector, config }: Endpoint,
  change: (driver: DestinationDriver) => Partial<DestinationDriver>,
): Endpoint {
  const { destination } = connector
  if (!destination) throw new Error(`${connector.name} is no destination.`)
  const changed: typeof destination = (keys) => {
    const driver = destination(keys)
    return delegate(driver, change(driver))
  }
  return { connector: { ...connector, destination: changed }, config }
}

/**
 * Undo and redo of this client's own transactions. Each is a new commit that the
 * server makes (`revert`), so it refuses to trample on what others have changed
 * since, and says what that is.
 */
export class History {
  /**
   * @param {(versions: number[]) => Promise<{version: number}>} revert
   * @param {number} [depth] how many steps are remembered
   */
  constructor(revert, depth = 200) {
    this.revert = revert
    this.depth = depth
    /** @type {{group?: string, versions: number[]}[]} */
    this.done = []
    /** @type {{group?: string, versions: number[]}[]} */
    this.undone = []
    /** Undo and redo run one after the other. @type {Promise<any>} */
    this.queue = Promise.resolve()
  }

  /** A transaction of this client was committed; those of a group are one step. @param {number} version @param {string} [group] */
  committed(version, group) {
    const last = this.done.at(-1)
    if (group !== undefined && last?.group === group) last.versions.push(version)
    else this.done.push({ group, versions: [version] })
    if (this.done.length > this.depth) this.done.shift()
    this.undone = []
  }

  /** @returns {Promise<number | undefined>} the version of the undoing commit; undefined if there is nothing to undo */
  undo() {
    return this.#step('done', 'undone')
  }

  /** @returns {Promise<number | undefined>} */
  redo() {
    return this.#step('undone', 'done')
  }

  /** @param {'done'|'undone'} from @param {'done'|'undone'} to */
  #step(from, to) {
    const run = this.queue.then(async () => {
      const step = this[from].pop()
      if (!step) return undefined
      try {
        const { version } = await this.revert(step.versions)
        this[to].push({ group: step.group, versions: [version] })
        return version
      } catch (err) {
        this[from].push(step) // refused: it can be tried again
        throw err
      }
    })
    this.queue = run.catch(() => {})
    return run
  }
}

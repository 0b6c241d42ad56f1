// The module leaves a real ERP by Module Management and comes back by its .obx; each time the ERP is built and restarted.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';

import { HARMLESS, Person, answers, harmless, home, makeDirectory, sequence, until } from './openbravo.mjs';

const MODULE = 'org.openbravo.backup';
const ID = '1638B36C2A2553F1308A5ACE3DD19272';
const ARCHIVE = process.env.OBBACKUP_TEST_OBX;
// Builds the ERP and restarts Tomcat, as its administrator would.
const REBUILD = process.env.OBBACKUP_TEST_REBUILD;
const skip = ARCHIVE && REBUILD ? false : 'OBBACKUP_TEST_OBX and OBBACKUP_TEST_REBUILD are not set';

const directory = path.join(home || '', 'modules', MODULE);
const configuration = path.join(home || '', 'config/obbackup.toml');
let work;
let person;

const step = sequence(() => person);

async function rebuild() {
  const begun = Date.now();
  execFileSync('bash', ['-c', REBUILD], { stdio: ['ignore', 'ignore', 'inherit'] });
  await until('the ERP', answers, 600);
  console.log(`# built and restarted in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  await person.logIn();
}

async function menuHasBackups() {
  return (await person.menu()).some(entry => entry.endsWith('Application || Backups'));
}

before(async () => {
  if (skip) {
    return;
  }
  work = fs.mkdtempSync(path.join(os.tmpdir(), 'obbackup-erp-'));
  fs.chmodSync(work, 0o755);
  await until('the ERP', answers, 300);
  person = await Person.arrive();
  await person.logIn();
});

after(async () => {
  if (skip) {
    return;
  }
  await person.leave();
  fs.rmSync(work, { recursive: true, force: true });
});

/** Goes through Module Management with a module's file, until that says how it went. */
async function install(archive) {
  await person.install(archive);
  // The page before has a hidden one, too.
  const page = await person.frame('BUTTON', '.MessageBox_Container >> visible=true');
  return page.locator('.MessageBox_Container >> visible=true').innerText();
}

step('another module is installed, to be updated later', async () => {
  await person.openBackups();
  if (!fs.existsSync(configuration)) {
    const disk = makeDirectory(process.env.OBBACKUP_TEST_DISK || path.join(work, 'disk'));
    await person.nameRepository(path.join(disk, 'removal'));
  }
  assert.match(await install(harmless(work)), /successfully installed/);
  await person.logIn();
}, { skip });

step('uninstalled in Module Management after a backup that names it', async () => {
  await person.uninstall(ID);
  await person.picture('uninstall-progress');
  const management = await person.frame('appFrame', '.MessageBox_TextTitle');
  await until('the module to be gone', () => !fs.existsSync(directory), 180);
  await until('the message', () => management.locator('.MessageBox_TextTitle').isVisible());
  await person.picture('uninstalled');
  await person.openBackups();
  assert.ok((await person.labels()).some(label => /^before uninstalling org.openbravo.backup /.test(label)));
}, { skip });

step('gone after the next build, and the ERP works', async () => {
  await rebuild();
  assert.ok(!(await menuHasBackups()));
  assert.ok(fs.existsSync(configuration), 'what was configured stays');
  await person.picture('removed');
}, { skip });

step('installed by its .obx in Module Management', async () => {
  await install(ARCHIVE);
  await person.picture('installed-by-obx');
  assert.ok(fs.existsSync(path.join(directory, 'lib/runtime')));
  await rebuild();
  assert.ok(await menuHasBackups());
  await person.openBackups();
  assert.ok((await person.labels()).some(label => /^before uninstalling org.openbravo.backup /.test(label)));
  await person.picture('back-again');
}, { skip });

step('the other module is updated after one backup that names both versions', async () => {
  await install(harmless(work, '1.1.0'));
  await person.picture('updated');
  const dictionary = path.join(home, 'modules', HARMLESS, 'src-db/database/sourcedata/AD_MODULE.xml');
  assert.match(fs.readFileSync(dictionary, 'utf8'), /VERSION><!\[CDATA\[1\.1\.0\]/);
  await person.logIn();
  await person.openBackups();
  const label = `before updating ${HARMLESS} 1.0.0 → 1.1.0`;
  assert.deepEqual((await person.labels()).filter(found => found.includes(HARMLESS)), [
    label,
    `before installing ${HARMLESS} 1.0.0`
  ]);
  await person.picture('before-update');
}, { skip });

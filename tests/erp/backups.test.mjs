// The window Backups on a real ERP, from the first start without a repository to a restore and its undo.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';

import {
  HARMLESS,
  Person,
  answers,
  harmless,
  held,
  home,
  makeDirectory,
  pictures,
  record,
  sequence,
  until,
  url
} from './openbravo.mjs';

const CONFIGURATION = path.join(home, 'config/obbackup.toml');
const KEPT = `${CONFIGURATION}.before-tests`;
// The user *System*, whose description nobody reads.
const MARKED = ['ADUser', '0'];

let work;
let repository;
let person;

before(async () => {
  fs.rmSync(pictures, { recursive: true, force: true });
  work = fs.mkdtempSync(path.join(os.tmpdir(), 'obbackup-erp-'));
  fs.chmodSync(work, 0o755);
  // A place with another name looks better in pictures.
  const disk = process.env.OBBACKUP_TEST_DISK || path.join(work, 'disk');
  repository = path.join(makeDirectory(disk), 'openbravo');
  if (fs.existsSync(CONFIGURATION)) {
    fs.renameSync(CONFIGURATION, KEPT);
  }
  await until('the ERP', answers, 300);
  person = await Person.arrive();
  await person.logIn();
});

after(async () => {
  await person.leave();
  fs.rmSync(CONFIGURATION, { force: true });
  if (fs.existsSync(KEPT)) {
    fs.renameSync(KEPT, CONFIGURATION);
  }
  fs.rmSync(repository, { recursive: true, force: true });
  fs.rmSync(work, { recursive: true, force: true });
});

const step = sequence(() => person);

async function marker() {
  return (await record(...MARKED)).description;
}

async function backUp(label) {
  await person.press('Back Up Now');
  await person.page.locator('input[name=label]').fill(label);
  await person.picture('back-up');
  await person.press('Back Up Now');
}

step('the menu has the window for the System Administrator', async () => {
  assert.ok((await person.menu()).some(entry => entry.endsWith('Application || Backups')));
});

step('without a repository the window says so and lets one be named', async () => {
  await person.openBackups();
  await person.picture('first');
  assert.match(await person.repositoryText(), /no repository/);
  await person.press('Repository…');
  await person.page.locator('input[name=repository]').fill('/proc/backups');
  await person.picture('name-repository');
  await person.press('Use This Place');
  const refused = await until('the refusal', () => person.message());
  assert.equal(refused.type, 'error');
  await person.nameRepository(repository);
  assert.ok(fs.readFileSync(CONFIGURATION, 'utf8').includes(repository));
});

step('Test looks whether backups and restores can work', async () => {
  await person.press('Test');
  const found = await until('the findings', async () => {
    const message = await person.message();
    return message && message.type !== 'error' && /work\.|looked at/.test(message.text) && message;
  });
  await person.picture('tested');
  assert.match(found.type, /success|warning/);
});

step('Back Up Now asks at once, however long the repository takes to answer', async () => {
  let answer;
  const answered = new Promise(resolve => {
    answer = resolve;
  });
  const slow = async route => {
    await answered;
    await route.continue();
  };
  await person.page.route(/BackupHandler/, slow);
  await person.press('Back Up Now');
  const label = person.page.locator('input[name=label]');
  await label.fill('typed meanwhile', { timeout: 5000 });
  const part = name => person.page.getByText(name, { exact: true }).filter({ visible: true }).last();
  assert.ok(!(await part('Database').isVisible()));
  await person.picture('back-up-waiting');
  answer();
  await part('Database').waitFor();
  await person.page.unroute(/BackupHandler/, slow);
  assert.equal(await label.inputValue(), 'typed meanwhile');
  for (const name of ['Database', 'Sources', 'Deployed application', 'Attachments', 'Configuration']) {
    assert.ok(!(await person.isDisabled('Back Up Now')), name);
    await part(name).click();
  }
  assert.ok(await person.isDisabled('Back Up Now'), 'nothing is chosen');
  await person.picture('back-up-nothing');
  await person.press('Cancel');
});

step('a backup shows its progress, goes on without the browser, and a second click does nothing', async () => {
  await record(...MARKED, { description: 'as in the backup' });
  const before = await person.finished();
  await backUp('before the price change');
  await until('the bar', () => person.isWorking());
  const again = await person.call('BackupHandler', { body: { label: 'second click' } });
  assert.ok(JSON.parse(again.text).running);
  await person.picture('progress');
  await person.leave();
  person = await Person.arrive();
  await person.logIn();
  await person.openBackups();
  await person.picture('progress-again');
  const outcome = await person.outcome(before);
  assert.equal(outcome.type, 'success', outcome.text);
  assert.deepEqual(await person.labels(), ['before the price change']);
  await person.picture('taken');
});

step('a backup can be cancelled and leaves nothing behind', async () => {
  fs.writeFileSync(path.join(home, 'attachments', 'large'), Buffer.alloc(300 << 20, Math.random().toString()));
  const before = await person.finished();
  try {
    await backUp('to be cancelled');
    // How much there is to do is known from the backup before.
    await until('percents', async () => /\d %/.test(await person.workText()));
    await person.picture('percents');
    await person.press('Cancel');
    const outcome = await person.outcome(before);
    assert.equal(outcome.type, 'warning', outcome.text);
    assert.deepEqual(await person.labels(), ['before the price change']);
  } finally {
    fs.rmSync(path.join(home, 'attachments', 'large'));
  }
});

step('the grid is filtered by month', async () => {
  const month = String(new Date().getMonth() + 1).padStart(2, '0');
  const other = month === '01' ? '02' : '01';
  const shown = count => async () => (await person.labels()).length === count;
  await person.filter({ monthTaken: other });
  await until('no row', shown(0));
  await person.filter({ monthTaken: month });
  await until('the row', shown(1));
  await person.filter({ monthTaken: '' });
});

step('a backup is pinned and unpinned', async () => {
  await person.select('before the price change');
  await person.press('Pin');
  await until('the pin', () => person.pinned('before the price change'));
  await person.select('before the price change');
  await person.press('Unpin');
  await until('no pin', async () => !(await person.pinned('before the price change')));
});

step('a backup is verified', async () => {
  await person.select('before the price change');
  const before = await person.finished();
  await person.press('Verify');
  const outcome = await person.outcome(before);
  assert.equal(outcome.type, 'success', outcome.text);
  await person.picture('verified');
});

step('a restore shows its plan, asks for the name, and ends in the login page', async () => {
  await record(...MARKED, { description: 'newer than the backup' });
  await person.openBackups();
  await person.select('before the price change');
  await person.press('Restore');
  const plan = person.page.locator('.OBBKP_Plan');
  await plan.waitFor();
  assert.match(await plan.innerText(), /Database/);
  assert.match(await plan.innerText(), /Logins: \d+/);
  await person.picture('restore-plan');
  const name = person.page.locator('input[name=instance]');
  await name.pressSequentially('another');
  assert.ok(await person.isDisabled('Restore'));
  await name.fill('');
  await confirm('Restore');
  await until('the bar', () => person.isWorking());
  await person.picture('restore-progress');
  await follow('restore');
  assert.equal(await marker(), 'as in the backup');
});

/** Types the instance's name, and presses the button that this allows. */
async function confirm(title) {
  const name = person.page.locator('input[name=instance]');
  await name.waitFor();
  await name.pressSequentially(path.basename(new URL(url).pathname));
  await until('the button', async () => !(await person.isDisabled(title)));
  await person.press(title);
}

/** From the window over the page that stands in for the application to the login page. */
async function follow(name) {
  const stopped = await until('the end of the application', async () => !(await answers()) && Date.now(), 300);
  // Where Tomcat has its port again before the browser has asked for the page, it waits for the application.
  await person.page.waitForSelector('main[data-state], #user', { timeout: 300_000 });
  if (await person.page.locator('main[data-state]').count()) {
    await person.picture(`${name}-page`);
  }
  await person.page.waitForSelector('#user', { timeout: 300_000 });
  console.log(`# ${name}: the login page was back after ${((Date.now() - stopped) / 1000).toFixed(1)} s`);
  await person.picture(`${name}-login`);
  await person.logIn();
  await person.openBackups();
}

step('after a restore the window says what happened, lists what the repository holds, and offers Undo', async () => {
  const told = await person.restoreText();
  assert.match(told, /Restored: backup [0-9a-f]{8} of .* is kept/);
  // The safety backup is younger than the restored table.
  const labels = await person.labels();
  assert.ok(labels.length === 2, labels.join());
  await person.picture('restored');
});

step('Undo brings the state before the restore back', async () => {
  await person.press('Undo');
  await person.page.locator('.OBBKP_Plan').waitFor();
  await person.picture('undo-plan');
  await confirm('Undo');
  await follow('undo');
  assert.equal(await marker(), 'newer than the backup');
  assert.match(await person.restoreText(), /Restored: the state of/);
  await person.picture('undone');
});

step('where the backup fails a module is not installed, and the page says why', async () => {
  fs.renameSync(repository, `${repository}-away`);
  try {
    await person.install(harmless(work));
    const page = await person.frame('BUTTON', '#failure');
    await until('the reason', () => page.locator('#failure').isVisible());
    await person.picture('install-stopped');
    assert.ok((await page.locator('#reason').innerText()).includes(repository));
    assert.ok(!fs.existsSync(path.join(home, 'modules', HARMLESS)));
  } finally {
    fs.renameSync(`${repository}-away`, repository);
  }
});

step('a module is installed after an automated backup that names it', async () => {
  const page = await person.frame('BUTTON', '#again');
  await page.locator('#again').click();
  await until('the bar', async () =>
    (await person.frame('BUTTON', '#bar')).locator('#bar').isVisible()
  );
  await person.picture('install-progress');
  await person.frame('BUTTON', '.MessageBox_Container');
  await person.picture('installed');
  assert.ok(fs.existsSync(path.join(home, 'modules', HARMLESS)));
  await person.logIn();
  await person.openBackups();
  assert.ok((await person.labels()).includes(`before installing ${HARMLESS} 1.0.0`));
  await person.picture('before-install');
});

step('restoring that backup takes the module away again', async () => {
  await person.select(`before installing ${HARMLESS} 1.0.0`);
  await person.press('Restore');
  await confirm('Restore');
  await follow('restore-before-install');
  assert.ok(!fs.existsSync(path.join(home, 'modules', HARMLESS)));
});

step('nobody else is answered', async () => {
  const forged = await person.call('StatusHandler', { token: 'DEADBEEF' });
  assert.ok(!forged.text.includes('"running"'), forged.text);
  const got = await person.call('StatusHandler', { method: 'GET' });
  assert.ok(!got.text.includes('"running"'), got.text);
  await person.become(await person.otherRole());
  assert.ok(!(await person.menu()).some(entry => entry.endsWith('Backups')));
  for (const handler of ['StatusHandler', 'RefreshHandler', 'BackupHandler', 'RestoreHandler', 'DeleteHandler']) {
    const answer = await person.call(handler, { body: { row: '1', isPlan: true } });
    assert.ok(!answer.text.includes('"running"') && answer.text.includes('System Administrator'), answer.text);
  }
  assert.match(await person.rows(), /error|OBSecurityException|not.*access/i);
  await person.become('0');
  const anonymous = await fetch(
    `${url}/org.openbravo.client.kernel?_action=org.openbravo.backup.erp.StatusHandler`,
    { method: 'POST', body: '{}', redirect: 'manual' }
  );
  assert.ok(!(await anonymous.text()).includes('"running"'));
});

const deployed = path.join(
  process.env.CATALINA_BASE || home,
  'webapps',
  path.basename(new URL(url).pathname)
);

async function reload() {
  const now = new Date();
  fs.utimesSync(path.join(deployed, 'WEB-INF/web.xml'), now, now);
  await until('the reload', async () => !(await answers()), 120);
  await until('the ERP', answers, 600);
}

step('ten reloads leave no thread and no descriptor of the native side behind', async () => {
  await reload();
  const first = held();
  for (let i = 0; i < 10; i++) {
    await reload();
  }
  const now = held();
  console.log(`# before ${JSON.stringify(first)}, after ten reloads ${JSON.stringify(now)}`);
  assert.equal(now.native, first.native);
  assert.equal(now.java, first.java);
  assert.ok(now.descriptors <= first.descriptors + 20);
});

/** What can be wrong with the directory of the native library in the jar, and what the window says of it. */
const SPOILT = [
  [
    'damaged',
    directory => fs.writeFileSync(path.join(directory, 'libobbackup.so'), 'no library'),
    /libobbackup\.so in this jar is damaged/
  ],
  [
    'another library',
    directory => {
      const [other] = execFileSync('sh', ['-c', 'ls /usr/lib/*-linux-gnu/libz.so.1'])
        .toString()
        .split('\n');
      fs.copyFileSync(other, path.join(directory, 'libobbackup.so'));
      execFileSync('sh', ['-c', 'sha256sum libobbackup.so obbackup > SHA256SUMS'], {
        cwd: directory
      });
    },
    /libobbackup\.so in this jar is another library/
  ],
  [
    'missing',
    directory => fs.rmSync(directory, { recursive: true }),
    /there is no native library for linux-/i
  ]
];

const libraries = path.join(deployed, 'WEB-INF/lib');

/** Puts a file, or none, in the place of the library's jar. */
async function replaceJar(jar, file) {
  if (file) {
    // Another file, not other bytes under those that Tomcat has mapped.
    fs.copyFileSync(file, `${jar}.new`);
    fs.chownSync(`${jar}.new`, fs.statSync(libraries).uid, fs.statSync(libraries).gid);
    fs.renameSync(`${jar}.new`, jar);
  } else {
    fs.rmSync(jar);
  }
  await reload();
  await person.logIn();
}

/** Lets `act` do with the jar what it wants, and puts it back. */
async function withJar(act) {
  const name = fs.readdirSync(libraries).find(file => /^obbackup-.*\.jar$/.test(file));
  const jar = path.join(libraries, name);
  const kept = path.join(work, name);
  fs.copyFileSync(jar, kept);
  try {
    await act(jar, kept);
  } finally {
    await replaceJar(jar, kept);
  }
  await person.openBackups();
  assert.match(await person.repositoryText(), /openbravo/);
}

/** The window has to show an error that says this. */
async function windowSays(said, name) {
  await person.openBackups();
  const message = await until(name, () => person.message());
  assert.equal(message.type, 'error', name);
  assert.match(message.text, said);
  await person.picture(`library-${name.replace(' ', '-')}`);
}

step('with a library that is missing, damaged or another one the ERP works and the window says what is wrong', () =>
  withJar(async (jar, kept) => {
    for (const [kind, spoil, said] of SPOILT) {
      const unpacked = fs.mkdtempSync(path.join(work, 'jar-'));
      execFileSync('jar', ['--extract', '--file', kept], { cwd: unpacked });
      const [platform] = fs.readdirSync(path.join(unpacked, 'native'));
      spoil(path.join(unpacked, 'native', platform));
      const spoilt = path.join(work, 'spoilt.jar');
      execFileSync('jar', ['--create', '--file', spoilt, '-C', unpacked, '.']);
      await replaceJar(jar, spoilt);
      await windowSays(said, kind);
    }
  })
);

step('without the jar of the library the ERP works, and the window and Module Management say what is missing', () =>
  withJar(async jar => {
    await replaceJar(jar, null);
    await windowSays(/is not in this web application/, 'no jar');
    // So does whatever is pressed.
    await person.view(view => view.messageBar.hide());
    await person.press('Back Up Now');
    const message = await until('the reason', () => person.message());
    assert.match(message.text, /is not in this web application/);
    await person.install(harmless(work));
    const page = await person.frame('BUTTON', '#failure');
    await until('the reason', () => page.locator('#failure').isVisible());
    await person.picture('install-no-jar');
    assert.match(await page.locator('#reason').innerText(), /is not in this web application/);
    assert.ok(!fs.existsSync(path.join(home, 'modules', HARMLESS)));
  })
);

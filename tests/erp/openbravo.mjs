// A running Openbravo ERP with the module in it, as its users and its administrator meet it.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const TAB = '39927EDA97E19311BCC91627C244B143';
const HANDLERS = 'org.openbravo.backup.erp.';
const CHROMIUM = process.env.OBBACKUP_TEST_CHROMIUM || '/usr/bin/chromium';

export const home = process.env.OPENBRAVO_HOME;
export const url = (process.env.OPENBRAVO_URL || '').replace(/\/$/, '');
export const user = process.env.OPENBRAVO_USER || 'Openbravo';
export const password = process.env.OPENBRAVO_PASSWORD || 'openbravo';
export const pictures = process.env.OBBACKUP_TEST_PICTURES;
export const SYSTEM_ADMINISTRATOR = '0';

// The user that builds the ERP and runs Tomcat: files that the tests make belong to them.
const owner = fs.statSync(home);

/** Makes a directory that Tomcat's user can write to. */
export function makeDirectory(directory) {
  fs.mkdirSync(directory, { recursive: true });
  fs.chownSync(directory, owner.uid, owner.gid);
  return directory;
}

/** Waits until `look` gives something; what it gives. */
export async function until(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${seconds} s in vain for ${what}`);
    }
    await sleep(250);
  }
}

/**
 * What makes tests that each go on where the one before has ended: after one that failed the rest is
 * skipped. `person` gives whose browser is pictured then.
 */
export function sequence(person) {
  let broken = false;
  return (name, act, options = {}) =>
    test(name, options, async context => {
      if (broken) {
        context.skip('an earlier step failed');
        return;
      }
      const begun = Date.now();
      try {
        await act();
      } catch (error) {
        broken = true;
        await person().picture(`failed-${name.replace(/\W+/g, '-')}`).catch(() => {});
        throw error;
      }
      console.log(`# ${name}: ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    });
}

/** Whether the login page answers. */
export async function answers() {
  try {
    const answer = await fetch(`${url}/security/Login`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(5000)
    });
    return answer.status === 200 && !answer.headers.has('X-Obbackup');
  } catch {
    return false;
  }
}

/** One record by the ERP's REST service. */
export async function record(entity, id, change) {
  const answer = await fetch(
    `${url}/org.openbravo.service.json.jsonrest/${entity}${change ? '' : `/${id}`}`,
    {
      method: change ? 'PUT' : 'GET',
      headers: {
        Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
        'Content-Type': 'application/json'
      },
      body: change && JSON.stringify({ data: { _entityName: entity, id, ...change } })
    }
  );
  const document = await answer.json();
  if (document.response?.error || document.response?.status < 0) {
    throw new Error(JSON.stringify(document.response));
  }
  return document.response?.data?.[0] ?? document;
}

/** The package of a module that does nothing. */
export const HARMLESS = 'org.obbackup.harmless';

/** Makes its .obx in a directory. */
export function harmless(directory, version = '1.0.0') {
  const root = path.join(directory, `obx-${version}`);
  const data = path.join(root, HARMLESS, 'src-db/database/sourcedata');
  fs.mkdirSync(data, { recursive: true });
  for (const file of fs.readdirSync('harmless')) {
    const text = fs.readFileSync(path.join('harmless', file), 'utf8');
    fs.writeFileSync(path.join(data, file), text.replace('[1.0.0]', `[${version}]`));
  }
  const archive = path.join(root, `${HARMLESS}-${version}.obx`);
  execFileSync('jar', ['--create', '--no-manifest', '--file', archive, HARMLESS], { cwd: root });
  return archive;
}

/** Tomcat's process. */
export function process_() {
  const found = execFileSync('pgrep', ['-f', 'org.apache.catalina.startup.Bootstrap'])
    .toString()
    .trim()
    .split('\n')
    .map(Number)
    .filter(pid => {
      const arguments_ = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return arguments_.includes(`-Dcatalina.base=${process.env.CATALINA_BASE}\0`);
    });
  return found[0];
}

/** What Tomcat's process holds of the native side. */
export function held() {
  const pid = process_();
  const tasks = fs.readdirSync(`/proc/${pid}/task`).map(task => {
    try {
      return fs.readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim();
    } catch {
      return '';
    }
  });
  return {
    native: tasks.filter(name => name.startsWith('obbackup')).length,
    java: tasks.filter(name => name.startsWith('OBBKP')).length,
    threads: tasks.length,
    descriptors: fs.readdirSync(`/proc/${pid}/fd`).length
  };
}

/** A browser of one person. */
export class Person {
  static async arrive() {
    const person = new Person();
    person.browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu']
    });
    const context = await person.browser.newContext({
      viewport: { width: 1360, height: 760 }
    });
    person.page = await context.newPage();
    person.page.setDefaultTimeout(60_000);
    return person;
  }

  async leave() {
    await this.browser.close();
  }

  async logIn() {
    // A page whose session has ended goes to the login page by itself, which interrupts this.
    await until('the login page', () =>
      this.page.goto(`${url}/security/Login`).then(
        () => true,
        () => false
      )
    );
    await this.page.fill('#user', user);
    await this.page.fill('#password', password);
    await this.page.click('#buttonOK');
    await this.page.waitForFunction(
      () => window.OB && window.OB.MainView && window.OB.User && window.OB.Application,
      null,
      { timeout: 180_000 }
    );
    if ((await this.page.evaluate(() => window.OB.User.roleId)) !== SYSTEM_ADMINISTRATOR) {
      await this.become(SYSTEM_ADMINISTRATOR);
    }
    await this.closePopup();
  }

  /** Openbravo asks for the purpose of an instance until it is told. */
  async closePopup() {
    await this.page.waitForTimeout(2000);
    await this.page.evaluate(() => {
      const popup = Object.keys(window)
        .filter(name => name.startsWith('InstancePurpose'))
        .map(name => window[name])
        .find(found => found && found.isVisible && found.isVisible());
      if (popup) {
        popup.closeClick();
      }
    });
  }

  /** Goes on with another role of the same user. */
  async become(role) {
    // The token changes: what is on its way would be refused, and Openbravo's box about that hold the page up.
    await this.settled();
    await this.page.evaluate(
      id =>
        new Promise(resolve =>
          window.OB.RemoteCallManager.call(
            'org.openbravo.client.application.navigationbarcomponents.UserInfoWidgetActionHandler',
            { role: id, default: false },
            { command: 'save' },
            (response, answer) => resolve(answer)
          )
        ),
      role
    );
    // Without the tabs that were open, which would ask for what is theirs.
    await this.page.goto('about:blank');
    await this.page.goto(`${url}/`);
    await this.page.waitForFunction(
      id => window.OB && window.OB.User && window.OB.User.roleId === id,
      role
    );
  }

  /** The entries of the application menu, as paths. */
  menu() {
    return this.page.evaluate(() => {
      const paths = [];
      const walk = (entries, above) =>
        entries.forEach(entry => {
          const here = [...above, entry.title];
          paths.push(here.join(' || '));
          walk(entry.submenu || [], here);
        });
      walk(window.OB.Application.menu, []);
      return paths;
    });
  }

  /** Opens the window Backups, and waits until it has read the repository. */
  async openBackups() {
    await this.page.evaluate(tab => window.OB.Utilities.openDirectTab(tab), TAB);
    await this.page.waitForFunction(
      tab => {
        const view = window.OB.MainView.TabSet.getSelectedTab()?.pane?.view;
        return view && view.tabId === tab && view.obbkpStrips;
      },
      TAB
    );
    await this.settled();
  }

  /** Makes a directory the repository. */
  async nameRepository(directory) {
    await this.press('Repository…');
    await this.page.locator('input[name=repository]').fill(directory);
    await this.press('Use This Place');
    await until('the repository', async () => (await this.repositoryText()).includes(`<b>${directory}</b>`));
  }

  /** Waits until no request is on its way. */
  async settled() {
    await this.page.waitForFunction(() => !window.isc.RPCManager.requestsArePending());
    await this.page.waitForTimeout(300);
  }

  /** Runs a function in the page with the window's view. */
  view(function_, value) {
    return this.page.evaluate(
      ([text, given]) =>
        new Function(`return (${text})`)()(
          window.OB.MainView.TabSet.getSelectedTab().pane.view,
          given
        ),
      [function_.toString(), value]
    );
  }

  async press(title) {
    await this.page.getByText(title, { exact: true }).filter({ visible: true }).last().click();
  }

  /** Selects the row with this label. */
  async select(label) {
    await this.page.getByText(label, { exact: true }).filter({ visible: true }).first().click();
    await this.settled();
  }

  /** The labels of the rows that the grid shows. */
  async labels() {
    await this.settled();
    return this.view(view =>
      view.viewGrid
        .getOriginalData()
        .getRange(0, view.viewGrid.getTotalRows())
        .filter(row => row && row.id)
        .map(row => row.backupLabel)
    );
  }

  async filter(values) {
    for (const [name, value] of Object.entries(values)) {
      const field = this.page.locator(`input[name=${name}]`).filter({ visible: true }).first();
      await field.fill(value);
      await field.press('Enter');
    }
    await this.page.waitForTimeout(1500);
  }

  /** Whether the row with this label is pinned. */
  async pinned(label) {
    await this.settled();
    return this.view(
      (view, wanted) => view.viewGrid.getOriginalData().find('backupLabel', wanted).pinned,
      label
    );
  }

  repositoryText() {
    return this.view(view => view.obbkpStrips.repositoryText.getContents());
  }

  restoreText() {
    return this.view(view =>
      view.obbkpStrips.restored.isVisible() ? view.obbkpStrips.restoreText.getContents() : ''
    );
  }

  /** What stands beside the bar. */
  workText() {
    return this.view(view => view.obbkpStrips.workText.getContents());
  }

  isWorking() {
    return this.view(view => view.obbkpStrips.work.isVisible());
  }

  /** Whether the button of the open dialog with this title is disabled. */
  isDisabled(title) {
    return this.page.evaluate(
      wanted =>
        Object.keys(window)
          .filter(name => name.startsWith('isc_OBFormButton_'))
          .map(name => window[name])
          .filter(button => button && button.title === wanted && button.isVisible())
          .pop()
          .isDisabled(),
      title
    );
  }

  /** What the message bar says, or nothing. */
  message() {
    return this.view(view =>
      view.messageBar.isVisible()
        ? { type: view.messageBar.type, text: view.messageBar.text.getContents() }
        : null
    );
  }

  /** How many pieces of work have ended. */
  async finished() {
    return JSON.parse((await this.call('StatusHandler')).text).finished;
  }

  /** Waits until more than `before` pieces of work have ended; what the message bar says of the last. */
  async outcome(before, seconds = 180) {
    await until('the end of the work', async () => (await this.finished()) > before, seconds);
    await until('no bar', async () => !(await this.isWorking()));
    await this.settled();
    return until('a message', () => this.message());
  }

  async openModuleManagement() {
    await this.page.evaluate(() =>
      window.OB.Layout.ViewManager.openView('OBClassicWindow', {
        viewId: 'OBClassicWindow',
        tabTitle: 'Module Management',
        obManualURL: '/ad_forms/ModuleManagement.html',
        command: 'DEFAULT',
        formId: 'B73A1BE38C6F4F4BB17A3B6FA8C3293E'
      })
    );
  }

  /** Uninstalls a module in Module Management; the backup before it has begun when this returns. */
  async uninstall(id) {
    this.page.once('dialog', dialog => dialog.accept());
    await this.openModuleManagement();
    const management = await this.frame('appFrame', `#inpNodes_${id}`);
    const mark = management.locator(`#inpNodes_${id}`);
    await mark.click();
    // The page sets it a moment later.
    await until('the mark', () => mark.isChecked());
    await management.locator('#buttonUninstall').click();
    await this.frame('appFrame', '#bar');
  }

  /** Goes through Module Management with a module's file, up to the last button. */
  async install(file) {
    await this.openModuleManagement();
    const management = await this.frame('appFrame', '#tabInstall, a:has-text("Add Modules")');
    await management.locator('a:has-text("Add Modules")').click();
    await (await this.frame('appFrame', '#buttonScan >> text=Browse')).locator('#buttonScan').click();
    const chosen = await this.frame('BUTTON', '#inpFile');
    await chosen.locator('#inpFile').setInputFiles(file);
    await chosen.locator('#buttonOK').click();
    await (await this.frame('BUTTON', '#buttonContinue')).locator('#buttonContinue').click();
    const licence = await this.frame('BUTTON', '#acceptOption');
    await licence.locator('#acceptOption').click();
    await licence.locator('#buttonContinue').click();
  }

  /** The frame of Module Management with this name, once it shows what is looked for. */
  frame(name, selector) {
    return until(
      `${selector} in ${name}`,
      async () => {
        for (const frame of this.page.frames()) {
          if (frame.name() === name && frame.url().includes('ModuleManagement')) {
            const found = await frame.locator(selector).count().catch(() => 0);
            if (found) {
              return frame;
            }
          }
        }
        return null;
      },
      120
    );
  }

  /** A role of this user that is not the System Administrator's. */
  otherRole() {
    return this.page.evaluate(
      () => window.OB.User.userInfo.role.valueMap.find(role => role.id !== '0').id
    );
  }

  /** What the datasource of the window answers. */
  rows() {
    return this.page.evaluate(async () => {
      const form = new URLSearchParams({
        _operationType: 'fetch',
        _startRow: 0,
        _endRow: 10,
        csrfToken: window.OB.User.csrfToken
      });
      const answer = await fetch(
        `${window.OB.Application.contextUrl}org.openbravo.service.datasource/OBBKP_Backup`,
        { method: 'POST', body: form }
      );
      return answer.text();
    });
  }

  /** What is answered to a call of one of the window's handlers. */
  call(handler, { method = 'POST', token = undefined, body = {} } = {}) {
    return this.page.evaluate(
      async ([name, how, given, content]) => {
        const csrfToken = given === undefined ? window.OB.User.csrfToken : given;
        const answer = await fetch(
          `${window.OB.Application.contextUrl}org.openbravo.client.kernel?_action=${name}`,
          how === 'GET'
            ? {}
            : {
                method: how,
                headers: { 'Content-Type': 'application/json;charset=UTF-8' },
                body: JSON.stringify({ ...content, csrfToken })
              }
        );
        return { status: answer.status, text: await answer.text() };
      },
      [HANDLERS + handler, method, token, body]
    );
  }

  async picture(name) {
    fs.mkdirSync(pictures, { recursive: true });
    await this.page.screenshot({ path: path.join(pictures, `${name}.png`) });
  }
}

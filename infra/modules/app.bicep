// The function app on Flex Consumption, its settings, and who may call it. No secret is among the
// settings: everything is reached with the app's identity.

@description('Short unique part of names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the identity of the app, in this resource group.')
param identityName string

@description('Name of the storage account, in this resource group.')
param storageName string

@description('Container of the deployment package.')
param packageContainer string

@description('Name of the Application Insights component, in this resource group.')
param insightsName string

@description('Address of the Durable Task Scheduler; empty where the durable engine is Azure Storage.')
param schedulerEndpoint string

@description('Task hub on the scheduler; empty where the durable engine is Azure Storage.')
param taskHub string

@description('Queue that the app takes events from; empty where Event Grid calls it.')
param eventQueue string

@description('Ids of the workspaces whose events count.')
param workspaceIds array

@description('Instances of the durable group that are always up.')
param alwaysReadyDurable int

@description('Instances of the event trigger that are always up.')
param alwaysReadyEvents int

@description('Memory of an instance in MB.')
param instanceMemory int

@description('Instances at most, of each scale group.')
param maximumInstances int

@description('Subnet of the app; empty for none.')
param subnetId string

@description('App registration that people sign in to; empty for none.')
param authClientId string

@description('Whether the platform checks sign-ins too, before the app does.')
param platformSignIn bool

@description('Whether the app may trust the principal header.')
param trustPlatformIdentity bool

@description('Channels that policies may announce to, by name.')
param channels object

@description('App settings over the usual ones.')
param appSettings object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

var readyDurable = alwaysReadyDurable == 0 ? [] : [
  {
    name: 'durable'
    instanceCount: alwaysReadyDurable
  }
]
var readyEvents = alwaysReadyEvents == 0 ? [] : [
  {
    name: 'function:on_model_registered'
    instanceCount: alwaysReadyEvents
  }
]
var publicUrl = 'https://${app.properties.defaultHostName}'
var usualSettings = {
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  AZURE_CLIENT_ID: identity.properties.clientId
  AZURE_FUNCTIONS_DURABLE_STRICT_TYPING: '1'
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__clientId: identity.properties.clientId
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  PYDANTIC_DISABLE_PLUGINS: '__all__'
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  ROLLOUT_ARCHIVE: storage.properties.primaryEndpoints.table
  ROLLOUT_AUDIENCE: empty(authClientId) ? '' : '${authClientId},api://${authClientId}'
  ROLLOUT_AUTHORITY: empty(authClientId) ? '' : environment().authentication.loginEndpoint
  ROLLOUT_CHANNELS: string(channels)
  ROLLOUT_CHANNEL_HOSTS: ''
  ROLLOUT_CLOUD_METADATA: ''
  ROLLOUT_CREATION_DEADLINE: '1h'
  ROLLOUT_ENGINE_RETENTION: '30d'
  ROLLOUT_EVENT_QUEUE: eventQueue
  ROLLOUT_GATE_HOSTS: ''
  ROLLOUT_LOGS_WORKSPACE: ''
  ROLLOUT_MAX_PARALLEL: '0'
  ROLLOUT_METRIC_LAG: '3m'
  ROLLOUT_POLICIES: 'policies'
  ROLLOUT_POLL_INTERVAL: '15s'
  ROLLOUT_PUBLIC_URL: publicUrl
  ROLLOUT_SHIFT_DEADLINE: '30m'
  ROLLOUT_SWEEP_LOOK_BACK: '2d'
  ROLLOUT_SWEEP_SCHEDULE: '0 */5 * * * *'
  ROLLOUT_TENANT: empty(authClientId) ? '' : tenant().tenantId
  ROLLOUT_TRUST_PLATFORM_IDENTITY: trustPlatformIdentity && platformSignIn && !empty(authClientId) ? 'true' : 'false'
  ROLLOUT_WORKSPACES: join(workspaceIds, ',')
}
// host.json names Azure Storage; a setting of this form goes before it.
var schedulerSettings = {
  AzureFunctionsJobHost__extensions__durableTask__hubName: taskHub
  AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
  AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
  DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${schedulerEndpoint};Authentication=ManagedIdentity;ClientID=${identity.properties.clientId}'
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-rollouts-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-rollouts-${token}'
  location: location
  tags: union(tags, {
    'azd-service-name': 'app'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        alwaysReady: concat(readyDurable, readyEvents)
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(usualSettings, empty(schedulerEndpoint) ? {} : schedulerSettings, appSettings)
}

// Deploying goes by Entra tokens too: no publishing password is accepted.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// Tokens are checked by the app itself; this checks them before it, with tokens only: no client
// secret, no login page. Event Grid calls the webhook with its own key, so that path is left out, and
// so is what tells nobody anything: the page that people sign in on, and whether the app is up.
resource auth 'Microsoft.Web/sites/config@2024-04-01' = if (platformSignIn && !empty(authClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: [
        '/runtime/webhooks/EventGrid'
        '/runtime/webhooks/eventgrid'
        '/api/dashboard'
        '/api/dashboard/*'
        '/api/health'
        '/api/openapi.json'
        '/api/sign-in'
      ]
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            authClientId
            'api://${authClientId}'
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
  }
}

@description('Name of the function app.')
output name string = app.name

@description('Id of the function app.')
output id string = app.id

@description('Where the HTTP API is.')
output url string = publicUrl
